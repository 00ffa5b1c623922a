import { setTimeout as pause } from 'node:timers/promises';
import { randomFrom } from '../../../../support/random.ts';
import { until } from '../../../../support/until.ts';
import { type Fault, look, type Noticed, type Stage } from '../../fault.ts';
import { rowWithAnswers } from '../../judges/answers.ts';
import { World } from '../../world.ts';

async function openRunning({ postgres, seed }: Stage): Promise<World> {
  const world = await World.open({ postgres, seed, rate: 150 });
  world.startWorker();
  world.startServer();
  await world.sends(1);
  return world;
}

/** Ends of PostgreSQL, from the kindest to the hardest. After the last, all its processes are gone at once. */
const ends = ['fast', 'immediate', 'killed'] as const;

export const databaseKilled: Fault = {
  id: 'database-killed',
  title: 'PostgreSQL is stopped, crashes or is killed (kill -9 of all its processes) under load',
  async run(stage) {
    const { postgres, isShort } = stage;
    const cycles = isShort ? 2 : 15;
    await using world = await openRunning(stage);
    let noticed: Noticed | undefined;
    for (let cycle = 0; cycle < cycles; cycle++) {
      await world.acknowledges(Math.floor(world.random() * 200));
      const end = ends[(cycle + 2) % ends.length] ?? 'killed';
      if (end === 'killed') await postgres.signal('SIGKILL');
      else await postgres.stop(end);
      noticed ??= await look(world);
      await pause(world.random() * 1000);
      // The shared memory of killed processes may last a moment.
      await until('PostgreSQL starts', () =>
        postgres.start().then(
          () => true,
          () => false,
        ),
      );
      await world.recovers();
    }
    return await rowWithAnswers(world, cycles, { noticed });
  },
};

/** How the database falls silent. The network swallows all bytes, or those of the connections that are open. */
const silences = ['processes', 'network', 'some connections', 'all connections'] as const;

export const databaseFrozen: Fault = {
  id: 'database-frozen',
  title: 'PostgreSQL freezes (SIGSTOP), or the network to it swallows everything or some open connections',
  async run(stage) {
    const { postgres, isShort } = stage;
    const kinds = isShort ? silences.slice(1, 3) : [...silences, ...silences];
    await using world = await openRunning(stage);
    let noticed: Noticed | undefined;
    for (const kind of kinds) {
      await world.acknowledges(Math.floor(world.random() * 200));
      // How many connections are open is not of the seed.
      const chance = randomFrom(world.random() * 2 ** 32);
      const lasts = isShort ? 500 : 3500 + world.random() * 2500;
      if (kind === 'processes') await postgres.signal('SIGSTOP');
      else if (kind === 'network') world.outside.databaseProxy.mode = 'swallow';
      else world.outside.databaseProxy.silence(() => kind === 'all connections' || chance() < 0.5);
      if (kind === 'network') noticed ??= await look(world);
      await pause(lasts);
      if (kind === 'processes') await postgres.signal('SIGCONT');
      world.outside.databaseProxy.mode = 'pass';
      await world.recovers();
    }
    return await rowWithAnswers(world, kinds.length, { noticed });
  },
};

export const connectionsEnded: Fault = {
  id: 'connections-ended',
  title: 'every connection to the database is ended each second (pg_terminate_backend)',
  async run(stage) {
    const seconds = stage.isShort ? 3 : 20;
    await using world = await openRunning(stage);
    let ended = 0;
    for (let second = 0; second < seconds; second++) {
      await pause(700 + world.random() * 600);
      const rows = await world.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name like 'ruffinweb%'`,
      );
      ended += rows.length;
    }
    await world.recovers();
    return await rowWithAnswers(world, seconds, { note: `${ended} connections were ended.` });
  },
};
