import { cp, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import * as fc from 'fast-check';
import { runHere } from '../cli/terminal.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { fuzzRuns } from '../support/fuzz.ts';
import { temporaryFolder } from '../support/program.ts';
import { anyDamage, damage } from './damage.ts';

type Manifest = Record<string, unknown> & { tables: Part[]; files: Part[] };
type Part = Record<string, unknown>;

/** Swaps, removes or repeats a part, or gives a value of another kind. */
const anyManifestChange: fc.Arbitrary<(manifest: Manifest) => void> = fc
  .record({
    list: fc.constantFrom('tables', 'files', 'keys', 'migrations'),
    at: fc.nat(40),
    to: fc.nat(40),
    key: fc.constantFrom('name', 'rows', 'bytes', 'sha256', 'columns', 'id', 'canary'),
    value: fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constantFrom('../x', 'a\0b', 1e300, -1, '', 'templates/\0')),
    action: fc.constantFrom('drop', 'repeat', 'swap', 'set', 'top'),
  })
  .map(({ list, at, to, key, value, action }) => (manifest) => {
    const all = manifest[list] as Part[];
    const [a, b] = [at % Math.max(all.length, 1), to % Math.max(all.length, 1)];
    const [first, second] = [all[a], all[b]];
    if (action === 'top') manifest[['format', 'program', 'snapshotAt', 'postgresql', list][at % 5] ?? ''] = value;
    if (action === 'drop') all.splice(a, 1);
    if (action === 'repeat' && first) all.push(first);
    if (typeof first !== 'object' || typeof second !== 'object') return;
    if (action === 'swap') [first[key], second[key]] = [second[key], first[key]];
    if (action === 'set') first[key] = value;
  });

describe('a damaged backup', () => {
  const opened = new AsyncDisposableStack();
  let db: TestDatabase;
  /** Nothing may be restored into it, and only a whole backup is. */
  let empty: TestDatabase;
  let folder: string;
  let whole: string;
  let files: string[];
  let expected: string;
  let restored = 0;

  before(async () => {
    db = opened.use(await createDatabase());
    empty = await createDatabase({ empty: true });
    folder = opened.use(await temporaryFolder()).path;
    await mkdir(join(folder, 'data', 'templates'), { recursive: true });
    await writeFile(join(folder, 'data', 'templates', '_own.liquid'), 'Hello');
    {
      await using context = await openTestContext(db);
      await buildMessages(context, 3);
    }
    whole = join(folder, 'whole');
    const settings = { DATA_DIR: join(folder, 'data') };
    expect((await runHere(['senders', 'erase', 'ada3@example.test', '--yes'], db, { settings })).code).to.equal(0);
    expect((await runHere(['backup', 'create', whole], db, { settings })).code).to.equal(0);
    files = (await readdir(whole, { recursive: true, withFileTypes: true }))
      .filter((it) => it.isFile())
      .map((it) => join(it.parentPath, it.name).slice(whole.length + 1));
    expect(files).to.include.members(['manifest.json', 'files/erasures.jsonl', 'tables/messages.copy']);
    expected = await contentOf(db);
  });
  after(async () => {
    await empty[Symbol.asyncDispose]();
    await opened.disposeAsync();
  });

  it('is refused and changes nothing, or restored as it was', async () => {
    const file = fc.nat(1000).map((it) => files[it % files.length] ?? '');
    const anyFile = fc.oneof(file, fc.constant('manifest.json'));
    const anyFault = fc.oneof(
      fc.tuple(anyFile, anyDamage).map(([name, changes]) => async (dir: string) => {
        await writeFile(join(dir, name), damage(await readFile(join(dir, name)), changes));
      }),
      anyManifestChange.map((change) => async (dir: string) => {
        const manifest = JSON.parse(await readFile(join(dir, 'manifest.json'), 'utf8'));
        change(manifest);
        await writeFile(join(dir, 'manifest.json'), JSON.stringify(manifest));
      }),
      anyFile.map((name) => async (dir: string) => await rm(join(dir, name))),
      fc.tuple(file, file).map(([one, other]) => async (dir: string) => {
        if (one === other) return;
        await rename(join(dir, one), join(dir, 'held'));
        await rename(join(dir, other), join(dir, one));
        await rename(join(dir, 'held'), join(dir, other));
      }),
    );
    let serial = 0;
    await fc.assert(
      fc.asyncProperty(anyFault, async (spoil) => {
        const dir = join(folder, `copy-${++serial}`);
        await cp(whole, dir, { recursive: true });
        await spoil(dir);
        await checkRestore(dir, join(folder, `data-${serial}`));
        await rm(dir, { recursive: true });
      }),
      // Making a failure smaller would stumble over what the first one has left.
      { ...fuzzRuns(12), endOnFailure: true },
    );
    console.log(`    restored whole: ${restored}`);
  });

  async function checkRestore(dir: string, data: string): Promise<void> {
    const run = () => runHere(['backup', 'restore', dir, '--yes'], empty, { settings: { DATA_DIR: data } });
    const { code, stderr } = await run();
    expect(code, stderr).to.be.oneOf([0, 1, 2]);
    if (code === 0) {
      expect(await contentOf(empty)).to.equal(expected);
      if (/"erasures.jsonl"/.test(await readFile(join(dir, 'manifest.json'), 'utf8')))
        expect(await readFile(join(data, 'erasures.jsonl'), 'utf8')).to.include('signature');
      await empty[Symbol.asyncDispose]();
      empty = await createDatabase({ empty: true });
      restored++;
      return;
    }
    expect(stderr).to.match(/^[^\n]{20,900}\n?$/);
    const tables = await empty.query<{ name: string }>(
      `select tablename as name from pg_tables where schemaname = 'public'`,
    );
    if (tables.some((it) => it.name === 'messages')) expect(await empty.count('messages'), stderr).to.equal(0);
  }
});

/** Everything that people wrote. */
async function contentOf(db: TestDatabase): Promise<string> {
  const tables = ['messages', 'senders', 'emails', 'forms', 'erasures', 'encryption_keys'];
  const rows = await Promise.all(
    tables.map((it) => db.query(`select md5(string_agg(t::text, ' ' order by t::text)) as hash from ${it} as t`)),
  );
  return JSON.stringify(rows);
}
