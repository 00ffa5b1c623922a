import { setTimeout as pause } from 'node:timers/promises';
import { until } from '../../../../support/until.ts';
import type { Fault } from '../../fault.ts';
import { rowWithAnswers } from '../../judges/answers.ts';
import { World } from '../../world.ts';

/** The statements whose answers are lost: storing posts, claiming mail or hook deliveries, settling them. */
const statements = ['store_messages_', 'store_messages_', 'store_messages_', 'settle_', 'claim_'];

export const lostCommit: Fault = {
  id: 'lost-commit',
  title: 'PostgreSQL stores posts, claims mail or settles it, and its answer is lost',
  async run({ postgres, seed, isShort }) {
    const cycles = isShort ? 8 : 150;
    await using world = await World.open({ postgres, seed, rate: 150 });
    world.startWorker();
    world.startServer();
    await world.sends(1);
    const proxy = world.outside.databaseProxy;
    const late: Promise<void>[] = [];
    const counts = { lost: 0, silent: 0, late: 0 };
    for (let cycle = 0; cycle < cycles; cycle++) {
      const chance = world.random();
      const statement = statements[Math.floor(world.random() * statements.length)] ?? '';
      if (chance < 0.05) {
        // Any answer, and the connection stays open: only a time-out notices.
        proxy.loseAnswer(1 + Math.floor(world.random() * 20), 'drop');
        await until('an answer is dropped', () => proxy.hasLostAnswer);
        counts.silent += 1;
      } else if (chance < 0.2) {
        // The statement runs only when nobody waits for it any more, and visitors repeat it meanwhile.
        const deliver = await proxy.cutAt('before', statement);
        late.push(pause(world.random() * 1500).then(deliver));
        counts.late += 1;
      } else {
        await proxy.cutAt('after', statement);
        counts.lost += 1;
      }
      await pause(world.random() * 150);
    }
    await Promise.all(late);
    await world.recovers();
    const note = `${counts.lost} answers lost, ${counts.silent} connections silent, ${counts.late} statements late.`;
    return await rowWithAnswers(world, cycles, { note });
  },
};
