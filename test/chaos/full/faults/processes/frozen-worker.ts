import { setTimeout as pause } from 'node:timers/promises';
import type { Held } from '../../../../support/smtp-server.ts';
import { until } from '../../../../support/until.ts';
import { type Fault, look, type Noticed, rowOf } from '../../fault.ts';
import { World } from '../../world.ts';

/**
 * A worker stands still (SIGSTOP) for longer than its leases, another one takes its mail over, and then it wakes up in the
 * middle of DATA. The first time it really sleeps; later ones move the end of its leases instead.
 */
export const frozenWorker: Fault = {
  id: 'frozen-worker',
  title: 'a worker stands still (SIGSTOP) past its leases, another takes over, and it wakes up',
  async run({ postgres, seed, isShort }) {
    const cycles = isShort ? 1 : 3;
    await using world = await World.open({ postgres, seed, rate: 100 });
    world.startServer();
    let noticed: Noticed | undefined;
    let lateS = 0;
    for (let cycle = 0; cycle < cycles; cycle++) {
      const isReal = !isShort && cycle === 0;
      const freeze = await freezeOne(world);
      if (!isReal) await world.query(`update emails set due_at = now() where id = any($1)`, [freeze.ids]);
      world.startWorker(1);
      if (isReal) noticed = await look(world);
      lateS = Math.max(lateS, await takenOver(world, freeze.ids));
      await freeze.end();
      await world.recovers();
      for (const it of world.workers) await world.stopCleanly(it);
    }
    world.startWorker();
    await world.recovers();
    const note = `the other worker had taken over ${lateS.toFixed(1)} s after the leases had ended, behind the mail that was due before`;
    return await rowOf(world, cycles, { noticed, note });
  },
};

/** @returns the emails that it has, and how it wakes up. */
async function freezeOne(world: World): Promise<{ ids: string[]; end: () => Promise<void> }> {
  const { mail } = world.outside;
  const worker = world.startWorker(0);
  await world.recovers();
  mail.answer('data', 'hold', { times: 3 });
  mail.answer('dot', 'hold', { times: 3 });
  const held: Held[] = [];
  for (const step of ['data', 'data', 'data', 'dot', 'dot', 'dot'] as const) held.push(await mail.held(step));
  worker.signal('SIGSTOP');
  mail.reset();
  // A statement that is on its way still runs.
  await pause(100);
  const leased = await world.query<{ id: string }>(
    `select id from emails where state = 'queued' and lease_token is not null`,
  );
  return {
    ids: leased.map((it) => it.id),
    end: async () => {
      const answerFirst = world.random() < 0.5;
      if (answerFirst) for (const it of held) it.release();
      worker.signal('SIGCONT');
      if (!answerFirst) for (const it of held) it.release();
    },
  };
}

/** @returns how many seconds after the end of its lease the last one was claimed. */
async function takenOver(world: World, ids: readonly string[]): Promise<number> {
  const [lease] = await world.query<{ ended: Date }>('select max(due_at) as ended from emails where id = any($1)', [
    ids,
  ]);
  const left = `select from emails where id = any($1) and state = 'queued' limit 1`;
  await until('another worker takes over', async () => (await world.query(left, [ids])).length === 0, 240_000);
  const [taken] = await world.query<{ at: Date | null }>(
    `select max(finished_at) as at from attempts where outcome = 'unknown' and email_id = any($1)`,
    [ids],
  );
  return Math.max(0, ((taken?.at ?? new Date(0)).getTime() - (lease?.ended ?? new Date(0)).getTime()) / 1000);
}
