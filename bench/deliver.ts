import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createTransport } from 'nodemailer';
import type { Mail } from '../src/mail/mailer.ts';
import { openQueue, type Queue } from './deliver/queue.ts';
import { type Machine, query } from './support/machine.ts';
import { launcher } from './support/program.ts';
import { atLeast, atMost, figure, type Part, type Result } from './support/report.ts';
import { interleave, median } from './support/rounds.ts';
import { clock, type Sink, startSink } from './support/sink.ts';

const run = promisify(execFile);
const bareLanes = fileURLToPath(new URL('deliver/bare-lanes.ts', import.meta.url));
const emails = 5000;
const rounds = 5;
const idleSends = 100;

export const deliver: Part = {
  about: `Sends ${emails} queued emails, half notifications and half auto-replies, to a mail server on this machine; timed from its first 250 to the last.
Then one email at a time, from the commit that queued it to its 250. Compared with nodemailer sending the same finished mails over ten lanes of one
connection each, or over one warm connection.`,
  run: measure,
};

async function measure(machine: Machine): Promise<Result> {
  await using sink = await startSink();
  await using queue = await openQueue(await machine.createDatabase('deliver'), sink.port, machine.folder);
  const mails = await queue.fill(emails);
  const file = join(machine.folder, 'mails.json');
  writeFileSync(file, JSON.stringify(mails));

  const drained = await interleave(rounds, {
    ours: async () => await drain(queue, sink),
    'ten bare lanes': async () =>
      await timed(sink, async () => {
        await run(process.execPath, [bareLanes, String(sink.port), file]);
      }),
  });
  const idle = await measureIdle(queue, sink, mails);

  const ours = median(drained.ours.map((it) => it.perSecond));
  const bare = median(drained['ten bare lanes'].map((it) => it.perSecond));
  const statements = median(drained.ours.map((it) => it.statements ?? Number.NaN));
  return {
    columns: ['', 'ours', 'bare nodemailer', 'ratio'],
    rows: [
      ['emails per second', figure(ours), figure(bare), figure(ours / bare, '×')],
      ['one at a time, p50 (ms)', figure(idle.ours), figure(idle.bare), figure(idle.ours / idle.bare, '×')],
      ['transactions per email', figure(statements), '', ''],
    ],
    bars: [
      atLeast('emails per second, compared with ten bare lanes', ours / bare, 0.55),
      atMost('commit to 250 while idle, p50, compared with a bare send', idle.ours / idle.bare, 2.5),
      atMost('transactions per email', statements, 1, ''),
    ],
  };
}

interface Drained {
  perSecond: number;
  statements?: number;
}

async function drain(queue: Queue, sink: Sink): Promise<Drained> {
  await queue.makeAllDue();
  const count = async () => {
    const [row] = await query<{ done: number }>(
      queue.url,
      `select pg_stat_force_next_flush(), (select xact_commit::float8 from pg_stat_database where datname = current_database()) as done`,
    );
    return row?.done ?? Number.NaN;
  };
  const before = await count();
  const { perSecond } = await timed(sink, async () => {
    await run(process.execPath, [launcher, 'deliver', '--once'], { cwd: queue.folder, env: queue.env, maxBuffer: 1e9 });
  });
  const left = await queue.countQueued();
  if (left > 0) throw new Error(`${left} emails are still queued`);
  return { perSecond, statements: ((await count()) - before) / emails };
}

async function timed(sink: Sink, work: () => Promise<void>): Promise<Drained> {
  sink.reset();
  await work();
  const times = await sink.report();
  if (times.length !== emails) throw new Error(`the mail server received ${times.length} mails instead of ${emails}`);
  return { perSecond: ((emails - 1) * 1000) / ((times.at(-1) ?? 0) - (times[0] ?? 0)) };
}

async function measureIdle(queue: Queue, sink: Sink, mails: readonly Mail[]): Promise<{ ours: number; bare: number }> {
  await using _worker = await queue.startWorker();
  const lane = createTransport({ host: '127.0.0.1', port: sink.port, pool: true, maxConnections: 1, ignoreTLS: true });
  const once = async (send: () => Promise<void>): Promise<number> => {
    const received = sink.nextMail();
    await pause(20);
    await send();
    const committed = clock();
    return (await received) - committed;
  };
  const times: { ours: number[]; bare: number[] } = { ours: [], bare: [] };
  for (let index = -20; index < idleSends; index++) {
    const ours = await once(() => queue.storeOne());
    const received = sink.nextMail();
    await pause(20);
    const begun = clock();
    await lane.sendMail(plain(mails[index + 20] as Mail));
    const bare = (await received) - begun;
    if (index < 0) continue;
    times.ours.push(ours);
    times.bare.push(bare);
  }
  lane.close();
  return { ours: median(times.ours), bare: median(times.bare) };
}

function plain({ from, to, subject, text, html, internetMessageId }: Mail) {
  return { from, to, subject, text, html, messageId: internetMessageId };
}
