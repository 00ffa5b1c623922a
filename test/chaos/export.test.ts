import { spawn } from 'node:child_process';
import { expect } from 'chai';
import { buildMessages } from '../support/build.ts';
import { programPath } from '../support/built-program.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase } from '../support/database.ts';
import { tellingMemory, toldMemory } from '../support/memory.ts';
import { testSettings } from '../support/program.ts';

/** Runs an export to its end; returns the number of lines and bytes it wrote, and its memory in bytes. */
async function exportAll(databaseUrl: string): Promise<{ lines: number; bytes: number; peak: number; live: number }> {
  const child = spawn(process.execPath, [programPath(), 'messages', 'export', '--format', 'jsonl'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env.PATH, ...testSettings, DATABASE_URL: databaseUrl, NODE_OPTIONS: tellingMemory },
  });
  const seen = { lines: 0, bytes: 0 };
  child.stdout.on('data', (chunk: Buffer) => {
    seen.bytes += chunk.length;
    for (const byte of chunk) if (byte === 10) seen.lines++;
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  expect(await new Promise((resolve) => child.on('close', resolve)), stderr).to.equal(0);
  return { ...seen, ...toldMemory(stderr) };
}

describe('messages export', () => {
  it('needs no more memory for 400 MB than for a quarter of it', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    const [original] = await buildMessages(context, 1, () => ({ message: 'x'.repeat(9900) }));
    // A copied row cannot be decrypted, but it is read all the same.
    const fill = (from: number, to: number) =>
      db.query(
        `insert into messages select (m).* from (select jsonb_populate_record(messages, jsonb_build_object(
           'id', lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000', 'receipt', 'RW-' || lpad(n::text, 10, '0'))) as m
         from messages, generate_series($1::int, $2::int) as n where id = $3::uuid) as copies`,
        [from, to, original?.id],
      );
    await fill(1, 10_000);
    const few = await exportAll(db.url);
    await fill(10_001, 40_000);
    const many = await exportAll(db.url);
    expect([few.lines, many.lines]).to.deep.equal([10_001, 40_001]);
    expect(many.live / few.live).to.be.lessThan(1.4);
    // Garbage that is not collected yet varies. Holding the whole export would take several times as much.
    expect(many.peak / few.peak).to.be.lessThan(2);
  });
});
