import { pipeline } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { TextFileFault } from '../../../text-file.ts';

export interface CsvFile {
  /** As errors name it. */
  name: string;
  bytes: AsyncIterableIterator<Buffer>;
  /** The header of a column for each part of a message: see `nameColumns`. */
  map: ReadonlyMap<string, string>;
}

/** The cells, and the line where the row begins. */
export type CsvRow = string[] & { line: number };

/** In characters, to notice a quote that is never closed before it fills the memory. */
const maxRow = 1_000_000;

/**
 * Reads the rows of a CSV file one by one, the header first, without empty ones. The separator is the comma, semicolon or
 * tab that the header has most of.
 *
 * @throws {TextFileFault}
 */
export async function* readCsv({ name, bytes }: Omit<CsvFile, 'map'>): AsyncGenerator<CsvRow> {
  const { head, line } = await readHead(bytes);
  const count = (separator: string) => line.split(separator).length;
  let end = 0;
  let countedTwice = 0;
  const parser = parse({
    bom: true,
    delimiter: [';', '\t'].reduce((most, it) => (count(it) > count(most) ? it : most), ','),
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    skip_empty_lines: true,
    max_record_size: maxRow,
    on_record(cells, { lines }) {
      const breaks = cells.join(',').match(/\r\n|\n|\r/g) ?? [];
      // The parser counts a CRLF within quotes as two lines.
      countedTwice += breaks.filter((it) => it.length === 2).length;
      end = lines - countedTwice;
      const isEmpty = cells.every((it) => it.trim() === '');
      return isEmpty ? null : Object.assign(cells, { line: end - breaks.length });
    },
  });
  const whole = async function* () {
    yield head;
    yield* bytes;
  };
  // The loop gets its errors.
  pipeline(whole, parser, () => {});
  try {
    yield* parser;
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    const what = `a quote (") in the row that begins here is not closed or not doubled, or the row is too long`;
    throw new TextFileFault(name, end + 1, what);
  }
}

/** The first bytes, and the line with the header without what it has in quotes. csv-parse looks for separators in ASCII only. */
async function readHead(bytes: AsyncIterator<Buffer>): Promise<{ head: Buffer; line: string }> {
  for (let head = Buffer.alloc(0); ; ) {
    const next = await bytes.next();
    if (!next.done) head = Buffer.concat([head, next.value]);
    const plain = head.toString('latin1').replaceAll(/"[^"]*"?/g, 'x');
    const [, line] = /^[\r\n]*([^\r\n]+)[\r\n]/.exec(plain) ?? [];
    if (line !== undefined || next.done || head.length > maxRow) return { head, line: line ?? plain };
  }
}
