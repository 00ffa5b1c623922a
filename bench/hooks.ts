import { setTimeout as pause } from 'node:timers/promises';
import { addHook, removeHook } from '../src/services/hooks/hooks.ts';
import { hookChannel } from '../src/services/outbox.ts';
import { openScope } from '../src/services/scope.ts';
import { openQueue, type Queue } from './deliver/queue.ts';
import { openMeasured } from './support/context.ts';
import { type Machine, query } from './support/machine.ts';
import { findPostmaster, processorMs } from './support/processor-time.ts';
import { atMost, figure, type Part, type Result } from './support/report.ts';
import { interleave, median } from './support/rounds.ts';
import { startSink } from './support/sink.ts';

const emails = 5000;
const rounds = 7;

export const hooks: Part = {
  about: `Sends ${emails} queued emails as \`ruffinweb deliver\`, while ${emails} deliveries wait for a hook that refuses connections; compared with
the same emails without a hook. Processor time of the worker, from its start, and of the database.`,
  run: measure,
};

async function measure(machine: Machine): Promise<Result> {
  await using sink = await startSink();
  await using queue = await openQueue(await machine.createDatabase('hooks'), sink.port, machine.folder);
  queue.env.HOOK_ALLOW_HOSTS = '127.0.0.1';
  await using context = await openMeasured(queue.env);
  await queue.fill(emails);
  const postmaster = await findPostmaster(queue.url);
  const samples = await interleave(rounds, {
    without: async () => await drain(queue, postmaster),
    with: async () => {
      const url = 'http://127.0.0.1:9/';
      await addHook(openScope(context), { name: 'dead', url, kind: 'webhook', state: 'active', allowHttp: true });
      await query(
        queue.url,
        `with active as (update hooks set state = 'active' returning id)
         insert into hook_deliveries (id, hook_id, event, state, message_id, due_at, created_at)
         select gen_random_uuid(), active.id, 'message.accepted', 'queued', message_id, now(), now() from active, emails`,
      );
      await query(queue.url, 'vacuum analyze hook_deliveries');
      const ms = await drain(queue, postmaster);
      await removeHook(openScope(context), 'dead');
      return ms;
    },
  });
  const ratio = median(samples.with.map((it, round) => it / (samples.without[round] ?? Number.NaN)));
  const each = (ms: number[]) => figure(median(ms) / emails);
  return {
    columns: ['', 'without', 'with', 'ratio'],
    rows: [['processor time per email (ms)', each(samples.without), each(samples.with), figure(ratio, '×')]],
    bars: [atMost('processor time per email, compared with no hook', ratio, 1.05)],
  };
}

/** @returns processor time in milliseconds. */
async function drain(queue: Queue, postmaster: number): Promise<number> {
  await queue.makeAllDue();
  const before = processorMs(postmaster);
  await using worker = await queue.startWorker();
  while ((await queue.countQueued()) > 0) {
    // As each new post does.
    await query(queue.url, `select pg_notify('${hookChannel}', '')`);
    await pause(200);
  }
  return processorMs(worker.pid) + processorMs(postmaster) - before;
}
