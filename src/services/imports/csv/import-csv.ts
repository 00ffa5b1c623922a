import { createHash } from 'node:crypto';
import { normaliseAddress, readAddress } from '../../../address.ts';
import { Problem } from '../../../problems.ts';
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
  return await importMessages(scope, ({ id }) => readPages(file, id, request.stop), request);
}

/** The columns of our own export that no message has. */
const exportColumns = ['receipt', 'form', 'senderId', 'id'];

async function* readPages(file: CsvFile, formId: string, stop?: AbortSignal): AsyncGenerator<SourceRow[]> {
  try {
    const rows = readCsv(file);
    const { value: header = [] } = await rows.next();
    if (header.length === 0 || header.some((it: string) => readAddress(it) !== undefined || /[\ufffd\0]/.test(it))) {
      throw new Problem('argument-invalid', 'the first line must name the columns, in UTF-8');
    }
    const isExport = exportColumns.every((it) => header.includes(it));
    const names = nameColumns(
      header,
      isExport ? new Map([...exportColumns.map((it) => [it, ''] as const), ...file.map]) : file.map,
    );
    // Equal rows are messages of their own. A few bytes of a row's hash are kept, not the row.
    const seen = new Map<number, number>();
    const countEqual = (row: string) => {
      const key = createHash('sha256').update(row).digest().readUIntBE(0, 6);
      seen.set(key, (seen.get(key) ?? 0) + 1);
      return seen.get(key);
    };
    let page: SourceRow[] = [];
    for await (const row of rows) {
      page.push(readMessage(row, names, isExport, (it) => JSON.stringify(['csv', formId, it, countEqual(it)])));
      if (page.length < pageSize) continue;
      yield page;
      page = [];
    }
    if (page.length > 0) yield page;
  } catch (error) {
    // Stopping also ends the reading, which may wait for another program.
    if (!stop?.aborted) throw error;
  }
}

function readMessage(
  row: CsvRow,
  names: readonly string[],
  isExport: boolean,
  identify: (row: string) => string,
): SourceRow {
  const given = row.flatMap((cell, index): [string, string][] => {
    const name = names[index] ?? '';
    if (name === '' || cell.trim() === '' || (isExport && name === 'status' && cell === 'accepted')) return [];
    const text = withoutApostrophe(cell, isExport);
    return isExport && name === 'extra' ? readExtra(text) : [[name, text]];
  });
  // Of two with one name the first counts: a further field of our export may have the name of a column.
  const fields = new Map(given.toReversed());
  const take = (name: string) => {
    const text = fields.get(name);
    fields.delete(name);
    return name === 'message' ? text : text?.trim();
  };
  const faults: SourceRow['faults'] = [];
  const date = take('receivedAt');
  if (fields.size === 0) faults.push('empty');
  // Our own export may hold texts of the old backend, which were kept whole.
  if (!isExport && [...fields].some(isTooLong)) faults.push('too-long');
  if (row.some((it) => it.includes('\ufffd'))) faults.push('not-utf8');
  if (row.slice(names.length).some((it) => it.trim() !== '')) faults.push('too-many-cells');
  const [email, text = '', name, subject] = [take('email'), take('message'), take('name'), take('subject')];
  const address = readAddress(email ?? '');
  if (email !== undefined && address === undefined) {
    faults.push('address-kept');
    fields.set('email', email);
  }
  if (fields.size > fieldLimits.extraFields) faults.push('too-many');
  const extra = [...fields].toReversed();
  return {
    id: BigInt(row.line),
    content: { ...(address && { address }), ...(name && { name }), ...(subject && { subject }), text, extra },
    date,
    faults,
    identify: (at) =>
      identify(JSON.stringify([at, normaliseAddress(address ?? ''), name, subject, text, extra.toSorted()])),
  };
}

/** Further fields as our export writes them. */
function readExtra(json: string): [string, string][] {
  try {
    return Object.entries(JSON.parse(json)).map(([name, value]) => [name, `${value}`]);
  } catch {
    return [['extra', json]];
  }
}

function isTooLong([name, text]: [string, string]): boolean {
  return [...text].length > (knownFields[name as KnownField]?.limit ?? fieldLimits.extraValue);
}

/** Undoes `formatCsvLine`. Other programs too write an apostrophe before a formula, but not within a cell. */
function withoutApostrophe(cell: string, isExport: boolean): string {
  const text = cell.replace(/^'(?='*[=+\-@＝＋－＠\t\r\n])/, '');
  return isExport ? text.replace(/(\r\n|[;\t\r\n])'(?='*[ "]*[=+\-@＝＋－＠])/g, '$1') : text;
}
