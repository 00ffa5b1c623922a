import { beforeFirst, type OldDatabase, type OldMessage } from '../../database/django/old-database.ts';
import { holdLock } from '../../database/locks.ts';
import { Form } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { retentionOf } from '../forms/effective-settings.ts';
import { findFormId } from '../forms/forms.ts';
import type { Scope } from '../scope.ts';
import { type Imported, reportFaults, reportFresh, reportTakeable, startReport } from './import-report.ts';
import { createDateReader, type OldDate } from './read-old-date.ts';
import { type OldFault, readOldMessage, type TakeableMessage } from './read-old-message.ts';
import { sortMessages, takeMessages } from './store-old-messages.ts';

export interface ImportRequest {
  /** Slug of the form that the messages become part of. */
  form: string;
  /** Of dates that name none. */
  timeZone: string;
  /** Only find out what would happen. */
  dryRun?: boolean;
  /** Ends between two pages; what was taken until then stays taken. */
  stop?: AbortSignal;
  onProgress?: (found: number) => void;
  /** A row that is not taken, and why. */
  onFault?: (id: bigint, faults: readonly OldFault[]) => void;
  /** A message by somebody who was erased here after it was written. */
  onErased?: (id: bigint) => void;
  /** Somebody in the old database who never wrote a message: nothing of them is kept here. */
  onSilentSender?: (id: bigint) => void;
}

/** Of two imports at once into one database the second is refused: it would only do the same work again. */
export class ImportRunning extends Error {
  override readonly name = 'ImportRunning';

  constructor() {
    super('another import into this database is at work: wait for it to end');
  }
}

/** Key of the advisory lock that lets one import work at a time; any constant number does. */
const importLock = 7_226_945;

/** Rows in memory, and in one transaction, at a time. */
const pageSize = 250;

/**
 * Takes over the messages and senders of the Django backend, page by page. Each page is one transaction with the
 * marks of what it took, so that an import that was ended in whatever way is taken up where it was by running it
 * again, and one that was whole takes only what is new. No mail is queued and the guard is not asked.
 *
 * @throws {Problem} form-unknown, argument-invalid
 * @throws {ImportRunning}
 * @throws {OldDatabaseUnreadable}
 */
export async function importDjango(scope: Scope, old: OldDatabase, request: ImportRequest): Promise<Imported> {
  const { dryRun = false, stop } = request;
  const readDate = dateReader(request.timeZone);
  const formId = await findFormId(scope, request.form);
  const form = await scope.em.findOneOrFail(Form, { id: formId });
  await using _lock = dryRun ? undefined : await lockImports(scope);
  const report = startReport({ ...request, dryRun, retentionDays: retentionOf(scope.config, form) });
  for await (const rows of pagesOf((after) => old.readMessages(after, pageSize), stop)) {
    const takeable = readPage(scope, rows, readDate, report, request);
    const { fresh, erased } = await sortMessages(scope, takeable);
    const took = dryRun
      ? { messages: fresh.length, newSenders: 0, erased: [] }
      : await takeMessages(scope, formId, fresh);
    const gone = [...erased, ...took.erased];
    for (const { oldId } of gone) request.onErased?.(oldId);
    report.messages.found += rows.length;
    report.messages.taken += took.messages;
    report.messages.erased += gone.length;
    report.messages.takenBefore += takeable.length - took.messages - gone.length;
    if (report.senders.new !== null) report.senders.new += took.newSenders;
    reportFresh(report, fresh, scope.now());
    request.onProgress?.(report.messages.found);
  }
  for await (const ids of pagesOf((after) => old.readSilentSenders(after, pageSize), stop)) {
    for (const { id } of ids) request.onSilentSender?.(id);
    report.senders.silent += ids.length;
  }
  report.complete = !stop?.aborted;
  return report;
}

/** The rows that can be taken; of the others it is told why not. */
function readPage(
  scope: Scope,
  rows: readonly OldMessage[],
  readDate: (text: string) => OldDate | undefined,
  report: Imported,
  request: ImportRequest,
): TakeableMessage[] {
  const takeable: TakeableMessage[] = [];
  for (const row of rows) {
    const read = readOldMessage(row, readDate, scope.now(), scope.keyring);
    if ('print' in read) {
      takeable.push(read);
      continue;
    }
    reportFaults(report, read.faults);
    request.onFault?.(row.id, read.faults);
  }
  reportTakeable(report, takeable);
  return takeable;
}

/** Page after page by id, until there is no more or `stop` is aborted. */
async function* pagesOf<Row extends { id: bigint }>(
  read: (after: bigint) => Promise<Row[]>,
  stop: AbortSignal | undefined,
): AsyncGenerator<Row[]> {
  for (let after = beforeFirst; !stop?.aborted; ) {
    const rows = await read(after);
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows;
    after = last.id;
  }
}

function dateReader(timeZone: string): (text: string) => OldDate | undefined {
  try {
    return createDateReader(timeZone);
  } catch {
    throw new Problem('argument-invalid', `there is no time zone "${timeZone}": name one like Europe/Amsterdam or UTC`);
  }
}

async function lockImports(scope: Scope): Promise<AsyncDisposable> {
  const lock = await holdLock(scope.em, importLock);
  if (lock === undefined) throw new ImportRunning();
  return lock;
}
