import { holdLock } from '../../database/locks.ts';
import { Form } from '../../entities/index.ts';
import { retentionOf } from '../forms/effective-settings.ts';
import { findFormId } from '../forms/forms.ts';
import type { Scope } from '../scope.ts';
import {
  type Imported,
  type ImportFault,
  reportFaults,
  reportFresh,
  reportTakeable,
  startReport,
} from './import-report.ts';
import { checkTimeZone, readOldDates } from './read-old-date.ts';
import { readRow, type SourceRow, type TakeableMessage } from './read-row.ts';
import { sortMessages, takeMessages } from './store-messages.ts';

export interface ImportRequest {
  /** Slug of the form that gets the messages. */
  form: string;
  /** For dates without a time zone. */
  timeZone: string;
  dryRun?: boolean;
  /** Ends the import after the current page. Imported messages stay. */
  stop?: AbortSignal;
  onProgress?: (found: number) => void;
  /** A row that cannot be imported. */
  onFault?: (id: bigint, faults: readonly ImportFault[]) => void;
  /** A message that is not imported because its sender was erased here after writing it. */
  onErased?: (id: bigint) => void;
  /** The header of each column of a file, and the part of a message or further field that it becomes. */
  onColumns?: (columns: readonly (readonly [header: string, name: string])[]) => void;
}

/** A second import at the same time would only repeat the work. */
export class ImportRunning extends Error {
  override readonly name = 'ImportRunning';
}

/** Key of the advisory lock that lets one import run at a time. Any constant number would do. */
const importLock = 7_226_945;

/** Rows in one transaction. */
export const pageSize = 250;

/**
 * Imports messages and their senders, page by page. Each page is one transaction that also marks its rows as imported, so a
 * repeated import imports only the rest. It queues no mail and skips the spam guard and the form's own rules.
 *
 * @param readPages the rows in order, up to `pageSize` at a time.
 * @throws {Problem} form-unknown, argument-invalid
 * @throws {ImportRunning}
 */
export async function importMessages(
  scope: Scope,
  readPages: (form: Form) => AsyncIterable<readonly SourceRow[]>,
  request: ImportRequest,
): Promise<Imported> {
  const { dryRun = false, stop } = request;
  checkTimeZone(request.timeZone);
  const formId = await findFormId(scope, request.form);
  const form = await scope.em.findOneOrFail(Form, { id: formId });
  await using _lock = dryRun ? undefined : await lockImports(scope);
  const report = startReport(request.form, dryRun, request.timeZone, retentionOf(scope.config, form));
  for await (const rows of readPages(form)) {
    if (stop?.aborted) break;
    await importPage(scope, rows, form, report, request);
    request.onProgress?.(report.messages.found);
  }
  report.complete = !stop?.aborted;
  return report;
}

async function importPage(
  scope: Scope,
  rows: readonly SourceRow[],
  form: Form,
  report: Imported,
  request: ImportRequest,
): Promise<void> {
  const takeable = await readPage(scope, rows, form, report, request);
  const { fresh, erased, newSenders } = report.dryRun
    ? { ...(await sortMessages(scope, takeable)), newSenders: 0 }
    : await takeMessages(scope, form.id, takeable);
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
  rows: readonly SourceRow[],
  form: Form,
  report: Imported,
  request: ImportRequest,
): Promise<TakeableMessage[]> {
  const dates = readOldDates(
    rows.map((row) => row.date),
    request.timeZone,
  );
  const takeable: TakeableMessage[] = [];
  for (const [index, row] of rows.entries()) {
    const message = readRow(row, dates[index], scope, form);
    if (message === undefined) {
      reportFaults(report, row.faults);
      request.onFault?.(row.id, row.faults);
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
