import { setTimeout as pause } from 'node:timers/promises';
import { SmallDiskPostgres } from '../../../../support/small-disk-postgres.ts';
import { until } from '../../../../support/until.ts';
import { type Fault, look, type Noticed } from '../../fault.ts';
import { rowWithAnswers } from '../../judges/answers.ts';
import { World } from '../../world.ts';

/** Without room for its write-ahead log PostgreSQL panics, and cannot even recover before there is some. */
const disks = ['tables', 'log'] as const;

export const databaseFull: Fault = {
  id: 'database-full',
  title: 'the disk of PostgreSQL is full, then that of its write-ahead log (it panics); both are freed, under load',
  async run({ seed, isShort }) {
    const filled = isShort ? disks : [...disks, ...disks];
    const lastsMs = isShort ? 1000 : 4000;
    await using postgres = await SmallDiskPostgres.start();
    await using world = await World.open({ postgres, seed, rate: isShort ? 100 : 150 });
    world.startWorker();
    world.startServer();
    await world.sends(1);
    let noticed: Noticed | undefined;
    for (const disk of filled) {
      await world.acknowledges(Math.floor(world.random() * 200));
      await postgres.fill(disk);
      const before = world.load.refused;
      await until('posts are refused', () => world.load.refused > before + 20);
      noticed ??= await look(world);
      await pause(lastsMs);
      await postgres.makeRoom();
      await world.recovers();
    }
    const crashes = await postgres.panics();
    return await rowWithAnswers(world, filled.length, { noticed, note: `PostgreSQL panicked ${crashes} times.` });
  },
};
