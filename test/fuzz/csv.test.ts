import { expect } from 'chai';
import * as fc from 'fast-check';
import { type CsvRow, readCsv } from '../../src/services/imports/csv/read-csv.ts';
import { TextFileFault } from '../../src/text-file.ts';
import { runHere } from '../cli/terminal.ts';
import { createDatabase } from '../support/database.ts';
import { fuzzRuns } from '../support/fuzz.ts';
import { anyDamage, damage } from './damage.ts';

const cell = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'ab ,;\t"\'\r\n=é\u2028\u{1f600}'), maxLength: 8 }),
  fc.constantFrom('', '', ' ', 'a@example.test', '2024-01-02 03:04', '""', '\r\n\r\n', '=1+1', 'x'.repeat(100_000)),
);

interface Table {
  rows: string[][];
  separator: string;
  end: string;
  /** Whether cells are in quotes that need none. */
  quoted: boolean;
  bom: boolean;
  last: boolean;
}

const anyTable: fc.Arbitrary<Table> = fc.record({
  rows: fc.array(fc.array(cell, { minLength: 1, maxLength: 6 }), { maxLength: 8 }),
  separator: fc.constantFrom(',', ';', '\t'),
  end: fc.constantFrom('\n', '\r\n', '\r'),
  quoted: fc.boolean(),
  bom: fc.boolean(),
  last: fc.boolean(),
});

const header = ['email', 'name', 'message', 'receivedAt'];

/** The file, and what a reader has to find in it. */
function write({ rows, separator, end, quoted, bom, last }: Table): { text: string; expected: [number, string[]][] } {
  const expected: [number, string[]][] = [];
  let line = 1;
  const lines = [header, ...rows].map((cells) => {
    if (cells.some((it) => it.trim() !== '')) expected.push([line, cells]);
    const needsQuotes = (it: string) => quoted || /[,;\t"\r\n]/.test(it);
    const text = cells.map((it) => (needsQuotes(it) ? `"${it.replaceAll('"', '""')}"` : it)).join(separator);
    line += 1 + (text.match(/\r\n|\r|\n/g) ?? []).length;
    return text;
  });
  return { text: (bom ? '\ufeff' : '') + lines.join(end) + (last ? end : ''), expected };
}

async function* inPieces(bytes: Buffer, length: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

describe('a random CSV file', () => {
  it('is read as it was written, with the line of each row', async () => {
    await fc.assert(
      fc.asyncProperty(anyTable, fc.constantFrom(1, 7, 1000, 65_536), async (table, length) => {
        const { text, expected } = write(table);
        const bytes = inPieces(Buffer.from(text), text.length > 10_000 ? 65_536 : length);
        const found: CsvRow[] = await Array.fromAsync(readCsv({ name: 'f.csv', bytes }));
        expect(found.map((row) => [row.line, [...row]])).to.deep.equal(expected);
      }),
      fuzzRuns(200),
    );
  });

  it('that is damaged is read, or refused by its line', async () => {
    await fc.assert(
      fc.asyncProperty(anyTable, anyDamage, async (table, changes) => {
        const bytes = inPieces(damage(write(table).text, changes), 65_536);
        const start = performance.now();
        try {
          for await (const row of readCsv({ name: 'f.csv', bytes })) expect(row.line).to.be.greaterThan(0);
        } catch (error) {
          if (!(error instanceof TextFileFault)) throw error;
          expect(error.message).to.match(/^f\.csv, line \d+: a quote/);
        }
        expect(performance.now() - start, 'milliseconds').to.be.lessThan(3000);
      }),
      fuzzRuns(200),
    );
  });

  it('is imported as far as the report says', async () => {
    await using db = await createDatabase();
    const sample = `email,name,message,receivedAt,Colour\n${[1, 2, 3, 4]
      .map((n) => `c${n}@example.test,"C, ${n}","Text\n${n}",2024-01-0${n} 03:04:05,red\n`)
      .join('')}`;
    await fc.assert(
      fc.asyncProperty(anyDamage, async (changes) => {
        const before = await db.count('messages');
        const input = damage(sample, changes);
        const { code, stdout, stderr } = await runHere(['import', 'csv', '-', '--json'], db, { input });
        expect(code, stderr).to.be.oneOf([0, 1, 2]);
        const { taken, found, takenBefore, erased, notTaken } =
          stdout === '' ? { taken: 0, found: 0, takenBefore: 0, erased: 0, notTaken: 0 } : JSON.parse(stdout).messages;
        expect(found).to.equal(taken + takenBefore + erased + notTaken);
        expect(await db.count('messages'), stderr).to.equal(before + taken);
        expect(code).to.equal(stdout === '' ? 2 : notTaken > 0 ? 1 : 0);
        if (code !== 0) expect(stderr.length).to.be.within(20, 150_000);
      }),
      fuzzRuns(25),
    );
  });
});
