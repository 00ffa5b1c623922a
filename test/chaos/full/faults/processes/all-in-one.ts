import { setTimeout as pause } from 'node:timers/promises';
import type { Held } from '../../../../support/smtp-server.ts';
import { type Fault, rowOf } from '../../fault.ts';
import type { Process } from '../../process.ts';
import { World } from '../../world.ts';

/** One process that takes posts and sends their mail, as most installations have it. */
function startAllInOne(world: World): Process {
  const process = world.start(['serve'], 'all-in-one', { settings: { PORT: new URL(world.urls[0] ?? '').port } });
  world.servers[0] = process;
  return process;
}

export const killedAllInOne: Fault = {
  id: 'killed-all-in-one',
  title: 'one process that takes posts and sends mail is killed (kill -9) at random',
  async run({ postgres, seed, isShort }) {
    const cycles = isShort ? 3 : 15;
    await using world = await World.open({ postgres, seed, rate: 100 });
    for (let cycle = 0; cycle < cycles; cycle++) {
      const process = startAllInOne(world);
      await world.recovers();
      await pause(world.random() * 1000);
      await process.stop('SIGKILL');
    }
    startAllInOne(world);
    await world.recovers();
    return await rowOf(world, cycles);
  },
};

/** Nothing may be uncertain afterwards: every process that is stopped has time to hear what became of each mail. */
export const stoppedAllInOne: Fault = {
  id: 'stopped-all-in-one',
  title: 'the same process is stopped (SIGTERM) while the mail server takes its time in DATA',
  async run({ postgres, seed, isShort }) {
    const cycles = isShort ? 2 : 3;
    await using world = await World.open({ postgres, seed, rate: 100 });
    const { mail } = world.outside;
    for (let cycle = 0; cycle < cycles; cycle++) {
      const process = startAllInOne(world);
      await world.recovers();
      const step = world.random() < 0.5 ? 'data' : 'dot';
      const count = 1 + Math.floor(world.random() * 10);
      mail.answer(step, 'hold', { times: count });
      const held: Held[] = [];
      while (held.length < count) held.push(await mail.held(step));
      const ended = world.stopCleanly(process);
      await pause(world.random() * 3000);
      for (const it of held) it.release();
      await ended;
      mail.reset();
    }
    startAllInOne(world);
    await world.recovers();
    const row = await rowOf(world, cycles);
    const isClean = row.uncertain + row.duplicated === 0;
    const what = `a clean stop left ${row.uncertain} uncertain attempts and ${row.duplicated} copies`;
    return isClean ? row : { ...row, violations: [...row.violations, { invariant: 'duplicates on record', what }] };
  },
};
