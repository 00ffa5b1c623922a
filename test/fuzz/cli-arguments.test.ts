import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as elapsed } from 'node:timers/promises';
import { expect } from 'chai';
import type { Command, Option } from 'commander';
import * as fc from 'fast-check';
import { createProgram } from '../../src/cli/program.ts';
import { runHere, type Screen } from '../cli/terminal.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { fuzzRuns } from '../support/fuzz.ts';
import { temporaryFolder } from '../support/program.ts';

/** Run until they are stopped, so they only get options that fail. */
const endless = ['serve', 'deliver', 'watch', 'health --watch'];
/** Would take the database away from the other cases, or write beside the sources. */
const excluded = ['migrate down', 'migrate create', 'backup create', 'backup restore', 'encryption rotate'];
/** Waits for its text on stdin, as its help says. */
const readsStdin = ['messages reply', 'import csv'];
const exitCodes = [0, 1, 2, 4];

interface Leaf {
  words: string[];
  options: readonly Option[];
  arguments: number;
}

const tree = createProgram({ env: {} } as Parameters<typeof createProgram>[0]);
const leavesOf = (command: Command, words: string[]): Leaf[] =>
  command.commands.length === 0
    ? [{ words, options: command.options, arguments: command.registeredArguments.length }]
    : command.commands.flatMap((it) => leavesOf(it, [...words, it.name()]));
const leaves = leavesOf(tree, []).filter((it) => !excluded.includes(it.words.join(' ')));

/** No path outside the working folder, since commands write files. */
const hostile = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      ...['', ' ', '-', '--', '-x=', '--=', '--__proto__', '__proto__', 'constructor', 'toString', 'undefined', 'null'],
      ...['0', '-1', '1.5', '1e3', '201', '0x10', '99999999999999999999', '-99999999999999999999', 'NaN', 'Infinity'],
      ...['2026-11-30', '0000-01-01', '9999-12-31', '275760-09-14', '-271821-04-19', '+999999-01-01', '2026-02-30'],
      ...['1d', '-1d', '99999999999d', '999999999999999999999y', '0d', 'yesterday', '2026-11-30T25:00', '10000-01-01'],
      ...['latest', 'contact', 'ada@example.test', '@', 'a@b', 'RW-0000000000', 'on', 'off', 'any', 'held', 'read'],
      ...['\u001b[2J', '\u001b]0;owned\u0007', '\r\n', 'a\nb', '\u202e', '\ud800', '\ufeff', '\u009b31m'],
      ...[
        'é',
        '日本語',
        '👨‍👩‍👧',
        '*',
        '?',
        '[a-z]',
        '$(id)',
        '`id`',
        "'; drop table messages; --",
        '%s%d',
        '{{ 7 }}',
        '\\',
      ],
      ...['missing.txt', 'file.txt', 'folder', 'folder/', 'file.txt/x', 'odd\u001b[31m.txt', '.', 'a'.repeat(300)],
      ...[
        '00000000-0000-0000-0000-000000000000',
        '01a20244-3d10-7c55-a1b2-5f0e6a7b8c9d',
        'ffffffff-ffff-ffff-ffff-ffffffffffff',
      ],
      ...[
        'https://127.0.0.1:1/x',
        'http://x.invalid',
        'postgres://127.0.0.1:1/x',
        'https://u:p@127.0.0.1:1',
        'javascript:1',
      ],
      ...['a=b', '=', 'a=', '=b', 'a=b=c', 'en', 'de', 'xx', 'Europe/Berlin', 'Mars/Olympus', 'name=email,x=__proto__'],
      'x'.repeat(100_000),
      '\u001b[31m'.repeat(20_000),
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'binary' }).map((it) => it.replaceAll(/[\0/~]|\.\./g, '')) },
);

/** Mostly what people type. */
const value = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      ...'latest contact ada@example.test 5 1d 2026-11-30 on off en file.txt hello notification auto-reply csv new-form'.split(
        ' ',
      ),
    ),
  },
  { weight: 1, arbitrary: hostile },
);

const unknown = fc.constantFrom(
  '--nonsense',
  '--jsn',
  '-x',
  '-é',
  '--__proto__',
  '--constructor=1',
  '--no-such',
  '-x=',
  '--json=1',
  '--\u001b[2J',
  '---',
);

type Run = { leaf: Leaf; args: string[]; isJson: boolean };

const anyRun: fc.Arbitrary<Run> = fc.constantFrom(...leaves).chain((leaf) => {
  const name = leaf.words.join(' ');
  const isEndless = endless.includes(name);
  const options = leaf.options.filter((it) => it.long !== '--json' && !endless.includes(`${name} ${it.long}`));
  const option =
    options.length === 0
      ? unknown.map((it) => [it])
      : fc
          .tuple(
            fc.constantFrom(...options),
            fc.array(hostile, { maxLength: 2 }),
            fc.constantFrom('good', 'good', 'bare', 'glued'),
          )
          .map(([it, values, form]) => {
            const flag = it.long ?? it.short ?? '';
            if (form === 'glued') return [`${flag}=${values[0] ?? ''}`];
            const takes = it.required || it.optional;
            if (it.argChoices && !values[1]) return [flag, it.argChoices[0] ?? ''];
            return [flag, ...(takes && form === 'good' ? (it.variadic ? values : [values[0] ?? '1']) : [])];
          });
  return fc
    .record({
      given: fc.oneof(
        { weight: 3, arbitrary: fc.array(value, { minLength: leaf.arguments, maxLength: leaf.arguments }) },
        { weight: 1, arbitrary: fc.array(value, { maxLength: 3 }) },
      ),
      options: fc.array(option, { maxLength: 3 }),
      unknown: isEndless
        ? fc.constant(null)
        : fc.oneof({ weight: 5, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: unknown }),
      isJson: leaf.options.some((it) => it.long === '--json') ? fc.boolean() : fc.constant(false),
      isFirst: fc.boolean(),
    })
    .map(({ given, options, unknown, isJson, isFirst }) => {
      const flags = [...options.flat(), ...(unknown === null ? [] : [unknown]), ...(isEndless ? ['--nonsense'] : [])];
      const rest = isFirst ? [...given, ...flags] : [...flags, ...given];
      // An endless command must not get its flag after a word that ends the options.
      const safe = isEndless ? ['--nonsense', ...rest] : rest;
      return { leaf, isJson, args: [...leaf.words, ...(isJson ? ['--json'] : []), ...safe] };
    });
});

describe('any arguments', () => {
  let db: TestDatabase;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  const home = process.cwd();
  const seen = new Map<number, number>();

  before(async () => {
    db = await createDatabase();
    folder = await temporaryFolder();
    await using context = await openTestContext(db);
    await buildMessages(context, 5, (index) => ({ message: `\u001b]0;owned\u0007 \u202e ${index}` }));
    // Deep, so that no path leads out.
    const place = join(folder.path, 'a/b/c/d');
    mkdirSync(join(place, 'folder'), { recursive: true });
    writeFileSync(join(place, 'file.txt'), 'name,email,message\nAda,ada@example.test,Hi\n');
    writeFileSync(join(place, 'odd\u001b[31m.txt'), '\u001b[2J\0');
    process.chdir(place);
  });
  after(async () => {
    process.chdir(home);
    await folder[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
    console.log(`    ${[...seen].map(([code, times]) => `exit ${code}: ${times}`).join(', ')}`);
  });

  const places: [title: string, url: () => string, share: number][] = [
    ['with a database', () => db.url, 1],
    ['with a database that is away', () => 'postgres://127.0.0.1:1/x', 0.2],
    ['without a database', () => '', 0.2],
  ];
  for (const [title, url, share] of places) {
    it(`end in one clear line and change nothing when refused, ${title}`, async () => {
      const { numRuns, ...runs } = fuzzRuns(250);
      await fc.assert(
        fc.asyncProperty(anyRun, async (run) => {
          expect((await tryRun(run, url())).join('\n')).to.equal('');
        }),
        { ...runs, numRuns: Math.ceil(numRuns * share), interruptAfterTimeLimit: 280_000, endOnFailure: true },
      );
    });
  }

  /** @returns what is wrong. */
  async function tryRun(run: Run, url: string): Promise<string[]> {
    const name = run.leaf.words.join(' ');
    const before = await contents();
    // Without an input, stdin stays open and nothing comes.
    const input = readsStdin.includes(name) || run.args.includes('-') ? { input: '' } : {};
    const settings = { DATA_DIR: join(folder.path, 'data'), NOTIFY_TO: 'owner@site.test', MAIL_FROM: 'site@site.test' };
    const late = new AbortController();
    const screen = await Promise.race([
      runHere(run.args, { url }, { settings, ...input }).catch((error: Error) => `threw ${error.stack}`),
      elapsed(30_000, 'does not end', { signal: late.signal }).catch(() => ''),
    ]);
    late.abort();
    const faults = typeof screen === 'string' ? [screen] : faultsOf(run, screen);
    if (typeof screen !== 'string') {
      seen.set(screen.code, (seen.get(screen.code) ?? 0) + 1);
      if (screen.code === 2 && (await contents()) !== before) faults.push('a refused command changed rows');
    }
    return faults.map((fault) => `${fault.slice(0, 1500)}: ${JSON.stringify(run.args).slice(0, 600)}`);
  }

  /** A hash of every row. */
  async function contents(): Promise<string> {
    const tables = await db.query<{ name: string }>(
      `select quote_ident(table_name) as name from information_schema.tables where table_schema = 'public' order by 1`,
    );
    const each = tables.map(
      ({ name }) => `(select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from ${name} t)`,
    );
    const [row] = await db.query<{ hash: string }>(`select concat_ws(',', ${each}) as hash`);
    return row?.hash ?? '';
  }
});

function faultsOf({ leaf, args, isJson }: Run, { stdout, stderr, code }: Screen): string[] {
  const faults: string[] = [];
  const name = leaf.words.join(' ');
  const given = args.join(' ');
  if (!exitCodes.includes(code)) faults.push(`exit code ${code}`);
  // Lines of CSV end so, and its texts are as they were written.
  const isCsv = name === 'messages export' || args.some((it) => it.includes('csv'));
  const text = stderr + (isCsv ? '' : stdout);
  if (/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/.test(text)) faults.push(`control characters in ${text}`);
  for (const word of ['undefined', '[object Object]', 'NaN', ' at async ', 'select ', 'insert into', 'node_modules'])
    if (stderr.includes(word) && !given.includes(word.trim())) faults.push(`"${word}" in ${stderr}`);
  const isHelp = args.some((it) => it === '-h' || it === '--help');
  if (code === 2 && stdout !== '' && !name.startsWith('config')) faults.push(`an error on stdout: ${stdout}`);
  if (code !== 0 && stdout === '' && stderr.trim() === '') faults.push(`exit code ${code} without a word`);
  if (stderr.length > 5000 && code !== 0)
    faults.push(`an error of ${stderr.length} characters: ${stderr.slice(0, 200)}`);
  if (isJson && stdout !== '' && !isHelp && !isJsonText(stdout)) faults.push(`no JSON: ${stdout}`);
  return faults;
}

/** One value, or one a line. */
function isJsonText(text: string): boolean {
  const parses = (it: string) => {
    try {
      JSON.parse(it);
      return true;
    } catch {
      return false;
    }
  };
  return parses(text) || text.trimEnd().split('\n').every(parses);
}
