import { spawnSync } from 'node:child_process';
import type { Context } from '../src/context.ts';
import { createKey } from '../src/services/api-keys/api-keys.ts';
import { cutPage } from '../src/services/paging.ts';
import { openScope } from '../src/services/scope.ts';
import { fill, rareForm, sealPage } from './list/fill.ts';
import { openMeasured } from './support/context.ts';
import { type Machine, query } from './support/machine.ts';
import { launcher, startServer } from './support/program.ts';
import { atMost, figure, type Part, type Result } from './support/report.ts';
import { median } from './support/rounds.ts';

/** A smaller `BENCH_ROWS` is quicker but proves less. */
const rows = Number(process.env.BENCH_ROWS ?? 3_000_000);
const rounds = { http: 40, cli: 9 };

export const list: Part = {
  about: `The last page of 50 compared with the first, in milliseconds, over HTTP and on the command line. The database has ${rows.toLocaleString('en')} messages, as many
emails, and a third as many senders.`,
  run: measure,
};

const day = 24 * 60 * 60 * 1000;
const since = new Date(Date.now() - 60 * day).toISOString();
const until = new Date(Date.now() - 30 * day).toISOString();
const sender = `(select sender_id from messages where receipt = 'RW-0000001000')`;

/** Each list with its filters, and the SQL condition for the same rows. */
const lists: [noun: 'senders' | 'messages' | 'emails', params: Record<string, string>, where: string][] = [
  ['senders', {}, 'true'],
  ['messages', {}, 'true'],
  ['messages', { form: 'rare' }, `form_id = '${rareForm}'`],
  ['messages', { status: 'held' }, `status = 'held'`],
  ['messages', { sender: '' }, `sender_id = ${sender}`],
  ['messages', { since, until }, `received_at >= '${since}' and received_at < '${until}'`],
  ['messages', { form: 'contact', status: 'held' }, `form_id <> '${rareForm}' and status = 'held'`],
  ['emails', {}, 'true'],
  ['emails', { state: 'failed' }, `state = 'failed'`],
  ['emails', { kind: 'auto-reply' }, `kind = 'auto-reply'`],
  ['emails', { state: 'failed', kind: 'notification' }, `state = 'failed' and kind = 'notification'`],
  ['emails', { form: 'rare' }, `message_id in (select id from messages where form_id = '${rareForm}')`],
  ['emails', { since, until }, `created_at >= '${since}' and created_at < '${until}'`],
];

type Pair = [first: number, deepest: number];

/** Milliseconds for the first and the deepest page of one list. */
interface Timed {
  name: string;
  http: Pair;
  cli?: Pair;
}

interface Measured {
  folder: string;
  env: Record<string, string>;
  context: Context;
  serverUrl: string;
  /** The id of the sender with most messages. */
  busySenderId: string;
}

async function measure(machine: Machine): Promise<Result> {
  const url = await machine.createDatabase('list');
  await fill(url, rows);
  const env = {
    DATABASE_URL: url,
    DATA_DIR: machine.folder,
    ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}`,
    RATE_LIMIT: 'off',
    PORT: '0',
  };
  await using context = await openMeasured(env);
  await using server = await startServer('list', { folder: machine.folder, env });
  const [busy] = await query<{ id: string }>(url, `select ${sender} as id`);
  const measured = { folder: machine.folder, env, context, serverUrl: server.url, busySenderId: busy?.id ?? '' };
  const timed: Timed[] = [];
  for (const list of lists) timed.push(await measureList(measured, list));
  return describe(timed);
}

async function measureList(measured: Measured, [noun, params, where]: (typeof lists)[number]): Promise<Timed> {
  const filter = { ...params, ...(params.sender === '' && { sender: measured.busySenderId }) };
  const cursor = await deepestCursor(measured.context.databaseUrl, noun, where);
  // A key per list, so that none reaches its request limit.
  const { key } = await createKey(openScope(measured.context), { name: noun, scopes: ['read'] });
  const ask = async (extra: Record<string, string>) => {
    const address = `${measured.serverUrl}/api/${noun}?${new URLSearchParams({ ...filter, ...extra })}`;
    const begun = performance.now();
    const answer = await fetch(address, { headers: { Authorization: `Bearer ${key}` } });
    const { items } = (await answer.json()) as { items: Record<string, string>[] };
    const ms = performance.now() - begun;
    if (items?.length !== 50) throw new Error(`${address}: ${answer.status}, ${items?.length} items`);
    return { ms, ids: items.map((it) => it.id ?? '') };
  };
  for (const { ids } of [await ask({}), await ask({ cursor })]) {
    await sealPage(measured.context, {
      messages: noun === 'messages' ? ids : [],
      senders: noun === 'senders' ? ids : [],
    });
  }
  const http: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds.http; round++) {
    http[0].push((await ask({})).ms);
    http[1].push((await ask({ cursor })).ms);
  }
  const name = [noun, ...Object.keys(params)].join(' ');
  process.stdout.write(`  ${name}\n`);
  return {
    name,
    http: [median(http[0]), median(http[1])],
    ...(Object.keys(params).length === 0 && { cli: measureCommand(measured, noun, cursor) }),
  };
}

function measureCommand({ folder, env }: Measured, noun: string, cursor: string): Pair {
  const times: [number[], number[]] = [[], []];
  for (let round = 0; round < rounds.cli; round++) {
    for (const [index, extra] of [[], ['--cursor', cursor]].entries()) {
      const begun = performance.now();
      const { status, stderr } = spawnSync(process.execPath, [launcher, noun, 'list', ...extra], {
        cwd: folder,
        env: { PATH: process.env.PATH, ...env },
        encoding: 'utf8',
      });
      if (status !== 0) throw new Error(`${noun} list: ${stderr}`);
      times[index]?.push(performance.now() - begun);
    }
  }
  return [median(times[0]), median(times[1])];
}

function describe(timed: readonly Timed[]): Result {
  const ratio = ([first, deepest]: Pair) => deepest / first;
  return {
    columns: ['', 'HTTP first', 'HTTP deepest', 'ratio', 'CLI first', 'CLI deepest', 'ratio'],
    rows: timed.map(({ name, http, cli }) => [
      name,
      ...http.map((ms) => figure(ms)),
      figure(ratio(http), '×'),
      ...(cli ? [...cli.map((ms) => figure(ms)), figure(ratio(cli), '×')] : ['', '', '']),
    ]),
    bars: timed.flatMap(({ name, http, cli }) => [
      atMost(`${name}, HTTP`, ratio(http), 1.5),
      ...(cli ? [atMost(`${name}, CLI`, ratio(cli), 1.5)] : []),
    ]),
  };
}

/** @returns the cursor of the last page of fifty. */
async function deepestCursor(url: string, noun: string, where: string): Promise<string> {
  const order = noun === 'senders' ? 'last_message_at, id' : 'id';
  const [row] = await query<{ id: string; at: Date }>(
    url,
    `select id${noun === 'senders' ? ', last_message_at as at' : ''} from ${noun} where ${where} order by ${order} offset 50 limit 1`,
  );
  if (row === undefined) throw new Error(`there are fewer than fifty ${noun} where ${where}`);
  return cutPage([row, row], 1, () => null).next ?? '';
}
