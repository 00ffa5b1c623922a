import { normaliseAddress, readAddress } from '../../../address.ts';
import {
  beforeFirst,
  type OldDatabase,
  OldDatabaseUnreadable,
  type OldMessage,
  readOldMessages,
} from '../../../database/django/old-database.ts';
import type { Scope } from '../../scope.ts';
import { type ImportRequest, importMessages, pageSize } from '../import-messages.ts';
import type { Imported, ImportFault } from '../import-report.ts';
import type { SourceRow } from '../read-row.ts';

/**
 * Imports the messages and senders of the Django backend.
 *
 * @throws {OldDatabaseUnreadable} and as `importMessages`
 */
export async function importDjango(scope: Scope, old: OldDatabase, request: ImportRequest): Promise<Imported> {
  return await importMessages(scope, () => readPages(old), request);
}

async function* readPages(old: OldDatabase): AsyncGenerator<SourceRow[]> {
  for (let after = beforeFirst; ; ) {
    const rows = await readOldMessages(old, after, pageSize);
    const last = rows.at(-1);
    if (last === undefined) return;
    // A damaged SQLite file can lead back to a page that was read.
    if (last.id <= after) throw new OldDatabaseUnreadable('is damaged: its ids are out of order');
    yield rows.map(readOldMessage);
    after = last.id;
  }
}

/**
 * The text is kept whole: limits on length and control characters apply only to posts. A file is still recognised after it
 * was moved or loaded into PostgreSQL. The old id is part of it, so two messages with the same words are two.
 */
function readOldMessage(row: OldMessage): SourceRow {
  const faults: ImportFault[] = [];
  const address = readAddress(row.address?.trim() ?? '');
  if (row.sender === null) faults.push('sender-missing');
  else if (address === undefined) faults.push('address-invalid');
  const text = row.text ?? '';
  if (text.trim() === '') faults.push('text-empty');
  const name = row.name?.trim();
  return {
    id: row.id,
    content: { ...(address && { address }), ...(name && { name }), text, extra: [] },
    date: row.date ?? '',
    faults,
    identify: (date) => JSON.stringify([String(row.id), date, normaliseAddress(address ?? ''), text]),
  };
}
