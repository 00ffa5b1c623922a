import { beforeFirst, type OldDatabase, type OldMessage, readOldMessages } from '../../database/django/old-database.ts';
import { holdLock } from '../../database/locks.ts';
import { Form } from '../../entities/index.ts';
import { retentionOf } from '../forms/effective-settings.ts';
import { findFormId } from '../forms/forms.ts';
import type { Scope } from '../scope.ts';
import { type Imported, reportFaults, reportFresh, reportTakeable, startReport } from './import-report.ts';
import { checkTimeZone, readOldDates } from './read-old-date.ts';
import { type OldFault, readOldMessage, type TakeableMessage } from './read-old-message.ts';
import { sortMessages, takeMessages } from './store-old-messages.ts';

export interface ImportRequest {
  /** Slug of the form that gets the messages. */
  form: string;
  /** For dates without a time zone. */
  timeZone: string;
  dryRun?: boolean;
  /** Ends the import after the current page. Imported messages stay. */
  stop?: AbortSignal;
  onProgress?: (found: number) => void;
  /** A row that cannot be imported, and why. */
  onFault?: (id: bigint, faults: readonly OldFault[]) => void;
  /** A message that is not imported because its sender was erased here after writing it. */
  onErased?: (id: bigint) => void;
}

/** A second import at the same time would only repeat the work. */
export class ImportRunning extends Error {
  override readonly name = 'ImportRunning';
}

/** Key of the advisory lock that lets one import run at a time. Any constant number would do. */
const importLock = 7_226_945;

/** Rows in one transaction. */
const pageSize = 250;

/**
 * Imports the messages and senders of the Django backend, page by page. Each page is one transaction that also marks its
 * rows as imported, so a repeated import imports only the rest. It queues no mail and skips the spam guard.
 *
 * @throws {Problem} form-unknown, argument-invalid
 * @throws {ImportRunning}
 * @throws {OldDatabaseUnreadable}
 */
export async function importDjango(scope: Scope, old: OldDatabase, request: ImportRequest): Promise<Imported> {
  const { dryRun = false, stop } = request;
  checkTimeZone(request.timeZone);
  const formId = await findFormId(scope, request.form);
  const form = await scope.em.findOneOrFail(Form, { id: formId });
  await using _lock = dryRun ? undefined : await lockImports(scope);
  const report = startReport(request.form, dryRun, request.timeZone, retentionOf(scope.config, form));
  let after = beforeFirst;
  while (!stop?.aborted) {
    const rows = await readOldMessages(old, after, pageSize);
    const last = rows.at(-1);
    if (last === undefined) break;
    await importPage(scope, rows, dryRun ? undefined : formId, report, request);
    request.onProgress?.(report.messages.found);
    after = last.id;
  }
  report.complete = !stop?.aborted;
  return report;
}

/** @param formId undefined for a dry run. */
async function importPage(
  scope: Scope,
  rows: readonly OldMessage[],
  formId: string | undefined,
  report: Imported,
  request: ImportRequest,
): Promise<void> {
  const takeable = await readPage(scope, rows, report, request);
  const { fresh, erased, newSenders } =
    formId === undefined
      ? { ...(await sortMessages(scope, takeable)), newSenders: 0 }
      : await takeMessages(scope, formId, takeable);
  for (const { oldId } of erased) request.onErased?.(oldId);
  report.messages.found += rows.length;
  report.messages.taken += fresh.length;
  report.messages.erased += erased.length;
  report.messages.takenBefore += takeable.length - fresh.length - erased.length;
  if (report.senders.new !== null) report.senders.new += newSenders;
  reportFresh(report, fresh, scope.now());
}

/** @returns the rows that can be imported. Reports the others. */
async function readPage(
  scope: Scope,
  rows: readonly OldMessage[],
  report: Imported,
  request: ImportRequest,
): Promise<TakeableMessage[]> {
  const dates = readOldDates(
    rows.map((row) => row.date ?? ''),
    request.timeZone,
  );
  const takeable: TakeableMessage[] = [];
  for (const [index, row] of rows.entries()) {
    const message = readOldMessage(row, dates[index], scope.now(), scope.keyring);
    if ('faults' in message) {
      reportFaults(report, message.faults);
      request.onFault?.(row.id, message.faults);
    } else {
      reportTakeable(report, message);
      takeable.push(message);
    }
  }
  return takeable;
}

async function lockImports(scope: Scope): Promise<AsyncDisposable> {
  const lock = await holdLock(scope.em, importLock);
  if (lock === undefined)
    throw new ImportRunning('another import into this database is running: wait until it has ended');
  return lock;
}
