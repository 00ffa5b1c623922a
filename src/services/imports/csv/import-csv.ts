import { createHash } from 'node:crypto';
import { normaliseAddress, readAddress } from '../../../address.ts';
import { fieldLimits, type KnownField, knownFields } from '../../forms/fields.ts';
import type { Scope } from '../../scope.ts';
import { type ImportRequest, importMessages, pageSize } from '../import-messages.ts';
import type { Imported } from '../import-report.ts';
import type { SourceRow } from '../read-row.ts';
import { nameColumns } from './name-columns.ts';
import { type CsvFile, type CsvRow, readCsv } from './read-csv.ts';

/**
 * Imports the messages of a CSV file.
 *
 * @throws {TextFileFault} and as `importMessages`
 */
export async function importCsv(scope: Scope, file: CsvFile, request: ImportRequest): Promise<Imported> {
  return await importMessages(scope, ({ id }) => readPages(file, id, request), request);
}

async function* readPages(file: CsvFile, formId: string, request: ImportRequest): AsyncGenerator<SourceRow[]> {
  // Equal rows are messages of their own. A few bytes of a row's hash are kept, not the row.
  const seen = new Map<number, number>();
  const identify = (row: string) => {
    const key = createHash('sha256').update(row).digest().readUIntBE(0, 6);
    const count = (seen.get(key) ?? 0) + 1;
    seen.set(key, count);
    return JSON.stringify(['csv', formId, row, count]);
  };
  try {
    const rows = readCsv(file);
    const header: string[] = (await rows.next()).value ?? [];
    const names = nameColumns(header, file.map);
    request.onColumns?.(header.map((it, index) => [it, names[index] ?? '']));
    let page: SourceRow[] = [];
    for await (const row of rows) {
      page.push(readMessage(row, names, identify));
      if (page.length < pageSize) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  } catch (error) {
    // Stopping also ends the reading, which may wait for another program.
    if (!request.stop?.aborted) throw error;
  }
}

function readMessage(row: CsvRow, names: readonly string[], identify: (row: string) => string): SourceRow {
  const fields = new Map(row.flatMap((cell, n) => (names[n] && cell.trim() !== '' ? [[names[n], cell]] : [])));
  const take = (name: string) => {
    const text = fields.get(name);
    fields.delete(name);
    return name === 'message' ? text : text?.trim();
  };
  const faults: SourceRow['faults'] = [];
  const date = take('receivedAt') ?? '';
  if (fields.size === 0) faults.push('text-empty');
  if ([...fields].some(isTooLong)) faults.push('too-long');
  if (row.some((it) => /[\ufffd\0]/.test(it))) faults.push('not-utf8');
  if (row.slice(names.length).some((it) => it.trim() !== '')) faults.push('too-many-cells');
  const [email, text = '', name, subject] = [take('email'), take('message'), take('name'), take('subject')];
  const address = readAddress(email ?? '');
  if (email !== undefined && address === undefined) faults.push('address-invalid');
  if (fields.size > fieldLimits.extraFields) faults.push('too-many');
  const extra = [...fields];
  return {
    id: BigInt(row.line),
    content: { ...(address && { address }), ...(name && { name }), ...(subject && { subject }), text, extra },
    date,
    faults,
    identify: (at) =>
      identify(JSON.stringify([at, normaliseAddress(address ?? ''), name, subject, text, extra.toSorted()])),
  };
}

function isTooLong([name, text]: [string, string]): boolean {
  return [...text].length > (knownFields[name as KnownField]?.limit ?? fieldLimits.extraValue);
}
