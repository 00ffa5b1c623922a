import { earlierReleases, unpackRelease } from '../../../../support/releases.ts';
import { type Fault, rowOf } from '../../fault.ts';
import type { Facts } from '../../judges/facts.ts';
import { World } from '../../world.ts';

/** The release before this one beside it, on one database, as during an upgrade that takes its time. */
export const twoReleases: Fault = {
  id: 'two-releases',
  title: 'two releases side by side take posts and send mail, and are killed (kill -9)',
  async run({ postgres, seed, isShort }) {
    const cycles = isShort ? 2 : 10;
    const release = earlierReleases.at(-1);
    if (release === undefined) throw new Error('there is no earlier release');
    await using old = await unpackRelease(release);
    // 0.3.0 knows no hooks: a post that it stores tells none.
    await using world = await World.open({ postgres, seed, rate: 120, servers: 2, hooks: false });
    const starts = [
      () => world.startServer(0),
      () => world.startServer(1, { program: old.program }),
      () => world.startWorker(0),
      () => world.startWorker(1, { program: old.program }),
    ];
    const processes = starts.map((start) => start());
    await world.recovers();
    await world.acknowledges(100);
    for (let cycle = 0; cycle < cycles; cycle++) {
      const chosen = isShort ? cycle * 3 : Math.floor(world.random() * starts.length);
      await processes[chosen]?.stop('SIGKILL');
      await world.acknowledges(20 + Math.floor(world.random() * 100));
      const start = starts[chosen];
      if (start) processes[chosen] = start();
      await world.recovers();
      await world.acknowledges(100 + Math.floor(world.random() * 300));
    }
    // The releases word the same mail differently. Its Message-ID is the same.
    const adjust = (facts: Facts) => ({ ...facts, mails: facts.mails.map((it) => ({ ...it, hash: '' })) });
    return await rowOf(
      world,
      cycles,
      {
        note: `The other release is ${release.version}, which words mail differently: copies are the same by their Message-ID.`,
      },
      adjust,
    );
  },
};
