import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import * as fc from 'fast-check';
import { readKeys } from '../../src/config/values.ts';
import type { Context } from '../../src/context.ts';
import { templateKinds } from '../../src/mail/compose/template-variables.ts';
import { openTemplates } from '../../src/mail/compose/templates.ts';
import { openScope } from '../../src/services/scope.ts';
import { formatRecord, parseLog } from '../../src/services/senders/erasure-log.ts';
import { decodeText, TextFileFault } from '../../src/text-file.ts';
import { runHere, type Screen } from '../cli/terminal.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { createDjangoSqlite } from '../support/django.ts';
import { fuzzRuns } from '../support/fuzz.ts';
import { temporaryFolder, testKeys } from '../support/program.ts';
import { anyDamage, damage } from './damage.ts';

const formFile = `# Every form
forms:
  contact:
    name: "Write to us"
    recipients: [owner@example.test, 'office@example.test']
    autoReply: false
  shop:
    origins:
      - https://shop.example.test
    redirectUrl: https://shop.example.test/thanks
    closesAt: 2036-12-24T18:00
    messageLimit: 500
    retentionDays: 30
    language: de
`;

describe('a damaged file', () => {
  const opened = new AsyncDisposableStack();
  let db: TestDatabase;
  let context: Context;
  let folder: string;

  before(async () => {
    db = opened.use(await createDatabase());
    context = opened.use(await openTestContext(db));
    folder = opened.use(await temporaryFolder()).path;
  });
  after(() => opened.disposeAsync());

  /** Runs a command: it succeeds, or says in one or a few lines what is wrong. */
  async function run(...args: string[]): Promise<Screen> {
    const screen = await runHere(args, db, { settings: { DATA_DIR: folder } });
    expect(screen.code, screen.stderr).to.be.oneOf([0, 1, 2, 4]);
    expect(screen.stderr.length, 'length of the error').to.be.lessThan(20_000);
    expect(screen.stderr).not.to.match(/^ +at |undefined|\[object|NaN/m);
    if (screen.code !== 0 && screen.code !== 4) expect(screen.stderr).not.to.equal('');
    return screen;
  }

  it('with forms is applied as it says, or changes nothing', async () => {
    const path = join(folder, 'forms.yaml');
    const forms = async () => JSON.stringify(await db.query('select * from forms order by id'));
    await fc.assert(
      fc.asyncProperty(anyDamage, async (changes) => {
        await writeFile(path, damage(formFile, changes));
        const before = await forms();
        const checked = await run('forms', 'validate', path);
        const applied = await run('forms', 'apply', path, '--yes', '--prune');
        expect(applied.code, applied.stderr).to.equal(checked.code);
        if (applied.code !== 0) {
          expect(await forms()).to.equal(before);
          for (const line of applied.stderr.split('\n').filter((it) => it !== ''))
            expect(line).to.match(/^.*forms\.yaml(?::\d+:\d+: |, line \d+: |: and \d+ more faults)/);
          return;
        }
        expect((await run('forms', 'diff', path)).code, 'differences after it was applied').to.equal(0);
        const { stdout } = await runHere(['forms', 'export'], db);
        await writeFile(path, stdout);
        const again = await run('forms', 'diff', path);
        expect(again.code, again.stdout + again.stderr).to.equal(0);
      }),
      fuzzRuns(25),
    );
  });

  it('of the Django backend is imported as far as it can be read', async () => {
    const path = join(folder, 'old.sqlite3');
    createDjangoSqlite(path, {
      senders: [1, 2, 3].map((n) => [n, `old${n}@example.test`, `Old ${n}`]),
      messages: Array.from({ length: 40 }, (_, n) => [n + 1, `Text ${n}`, '2020-01-02 03:04:05', 1 + (n % 3)]),
    });
    const sample = await readFile(path);
    await fc.assert(
      fc.asyncProperty(anyDamage, async (changes) => {
        await writeFile(path, damage(sample, changes));
        const before = await db.count('messages');
        const { code, stdout, stderr } = await run('import', 'django', path, '--json');
        const taken = stdout === '' ? 0 : JSON.parse(stdout).messages.taken;
        if (stdout !== '') expect(await db.count('messages')).to.equal(before + taken);
        if (code === 2) expect(await db.count('messages')).to.equal(before);
        expect(stderr.split('\n').length).to.be.lessThan(60);
      }),
      fuzzRuns(25),
    );
  });

  it('with keys gives whole keys, or is refused by its line', () => {
    const sample = `k20261122-083305:${Buffer.alloc(32, 'a').toString('base64')},${testKeys}\n`;
    void fc.assert(
      fc.property(anyDamage, (changes) => {
        try {
          const keys = readKeys(decodeText(damage(sample, changes), 'encryption.keys').trim(), 'encryption.keys');
          expect(keys).not.to.be.empty;
          for (const { id, secret } of keys) expect([id.length > 0, secret.length]).to.deep.equal([true, 32]);
          expect(new Set(keys.map((it) => it.id)).size).to.equal(keys.length);
        } catch (error) {
          if (!(error instanceof TextFileFault)) throw error;
          expect(error.message).to.match(/^encryption\.keys, line \d+: /);
          expect(error.message).not.to.match(/YWFh|YXJl/);
        }
      }),
      fuzzRuns(2000),
    );
  });

  it('with erasures loses the damaged lines only, and gains none', () => {
    const { keyring } = openScope(context);
    const records = Array.from({ length: 5 }, (_, n) => ({
      addressIndex: keyring.addressIndex(`gone${n}@example.test`),
      erasedAt: new Date(1_700_000_000_000 + n),
    }));
    const sample = records.map((it) => formatRecord(keyring, it)).join('');
    const lines = sample.trim().split('\n');
    void fc.assert(
      fc.property(anyDamage, (changes) => {
        const text = damage(sample, changes).toString('utf8');
        const read = parseLog(keyring, text);
        const known = new Set(lines.map((it) => it.trim()));
        for (const it of read.records) expect(known).to.include(formatRecord(keyring, it).trim());
        const [got, lost] = [read.records.length, read.strangeLines.length];
        const whole = text.split('\n').filter((it) => known.has(it.trim()));
        expect(got, 'whole lines').to.be.at.least(whole.length);
        expect(got + lost, 'lines').to.equal(text.split('\n').filter((it) => it.trim() !== '').length);
      }),
      fuzzRuns(1000),
    );
  });

  it('with a template is used, or refused with its name', async () => {
    const templates = join(folder, 'damaged');
    await mkdir(templates);
    const folderOfOurs = new URL('../../src/mail/compose/templates/', import.meta.url);
    const names = templateKinds.flatMap((kind) => ['subject', 'text', 'html'].map((part) => `${kind}.${part}.liquid`));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), anyDamage, async (name, changes) => {
        await writeFile(join(templates, name), damage(await readFile(new URL(name, folderOfOurs)), changes));
        const start = performance.now();
        try {
          openTemplates({ overrideFolder: templates });
        } catch (error) {
          if ((error as Error).name !== 'TemplateFault') throw error;
          expect((error as Error).message).to.match(new RegExp(`${name}(, line|: |:)`));
          expect((error as Error).message.length).to.be.lessThan(5000);
        } finally {
          await writeFile(join(templates, name), await readFile(new URL(name, folderOfOurs)));
        }
        expect(performance.now() - start, 'milliseconds').to.be.lessThan(5000);
      }),
      fuzzRuns(25),
    );
  });
});
