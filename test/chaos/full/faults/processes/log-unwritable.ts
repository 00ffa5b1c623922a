import { closeSync, openSync } from 'node:fs';
import { openUnreadPipe } from '../../../../support/unread-pipe.ts';
import { type Fault, rowOf } from '../../fault.ts';
import { World } from '../../world.ts';

/** Where both outputs of a process go; each takes nothing, or soon nothing more. */
const places = ['a full disk', 'a pipe without a reader', 'a pipe that nobody reads'] as const;

/** Whatever becomes of the log, posts are taken, mail leaves, and a stop ends with exit code 0. */
export const logUnwritable: Fault = {
  id: 'log-unwritable',
  title: 'the log cannot be written: its disk is full, its reader is gone, or its reader reads nothing',
  async run({ postgres, seed, isShort }) {
    await using world = await World.open({ postgres, seed, rate: 100 });
    for (const place of isShort ? places.slice(1, 2) : places) {
      await using pipe = await openUnreadPipe();
      if (place === 'a pipe without a reader') pipe.leave();
      const output = place === 'a full disk' ? openSync('/dev/full', 'w') : pipe.fd;
      // Fills a pipe within a second.
      const settings = { LOG_LEVEL: 'trace' };
      const server = world.startServer(0, { output, settings });
      const worker = world.startWorker(0, { output, settings });
      await world.recovers();
      await world.acknowledges(isShort ? 100 : 700);
      await world.sends(isShort ? 100 : 500);
      for (const it of [server, worker]) await world.stopCleanly(it);
      if (place === 'a full disk') closeSync(output);
    }
    world.startServer();
    world.startWorker();
    await world.recovers();
    return await rowOf(world, isShort ? 1 : places.length);
  },
};
