import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { type Fault, look, type Noticed, rowOf } from '../../fault.ts';
import type { Process } from '../../process.ts';
import { World } from '../../world.ts';

/** Server and worker may open so few files that connections do not fit, again and again. */
export const fewDescriptors: Fault = {
  id: 'few-descriptors',
  title: 'server and worker may open only a few files (`ulimit -n`), and connections use them up',
  async run({ postgres, seed, isShort }) {
    const cycles = isShort ? 1 : 6;
    await using world = await World.open({ postgres, seed, rate: 100 });
    world.startServer(0, { under: ['prlimit', '--nofile=46'] });
    world.startWorker(0, { under: ['prlimit', '--nofile=35'] });
    await world.recovers();
    let noticed: Noticed | undefined;
    let refused = 0;
    for (let cycle = 0; cycle < cycles; cycle++) {
      const { port } = new URL(world.urls[0] ?? '');
      const idle = Array.from({ length: 300 }, () => connect(Number(port), '127.0.0.1'));
      for (const it of idle) it.on('error', () => {});
      await pause(500 + world.random() * 2500);
      refused += idle.filter((it: Socket) => it.destroyed || it.readableEnded).length;
      noticed ??= { ...(await look(world)), alarm: 'shorter than its minute' };
      for (const it of idle) it.destroy();
      await world.recovers();
    }
    return await rowOf(world, cycles, {
      noticed,
      note: `${refused} of ${300 * cycles} connections were closed at once`,
    });
  },
};

/** Lived so long, it has enough: the next one gets less. */
const longLifeMs = 4000;

/**
 * The heap is so small that the processes end by themselves under load; a supervisor starts them again. How small that is
 * depends on Node: a process that died before it did anything is followed by one with more, one that lives by one with less.
 */
export const smallHeap: Fault = {
  id: 'small-heap',
  title: 'the heap is so small that server and worker die under load by themselves, and are started again',
  async run({ postgres, seed, isShort }) {
    const forMs = isShort ? 6000 : 30_000;
    await using world = await World.open({ postgres, seed, rate: 100 });
    const until = performance.now() + forMs;
    let deaths = 0;
    const supervise = async (start: (node: string[]) => Process, did: () => number, firstSize: number) => {
      for (let size = firstSize; performance.now() < until; ) {
        const before = did();
        const process = start([`--max-old-space-size=${size}`]);
        process.mayEnd();
        const how = await Promise.race([process.ended, pause(Math.min(longLifeMs, until - performance.now()))]);
        if (how === undefined) await process.stop('SIGKILL');
        else if (how !== 'SIGABRT') world.ended.push(`a process without memory ended with ${how}`);
        const isDeath = how !== undefined && did() > before;
        if (isDeath) deaths += 1;
        else size += how === undefined ? -1 : 1;
      }
    };
    const storms = setInterval(() => largePosts(world.urls[0] ?? ''), 1000);
    await Promise.all([
      supervise(
        (node) => world.startServer(0, { node }),
        () => world.load.acknowledged,
        36,
      ),
      supervise(
        (node) => world.startWorker(0, { node }),
        () => world.outside.mail.ledger.count,
        29,
      ),
    ]);
    clearInterval(storms);
    world.startServer();
    world.startWorker();
    await world.recovers();
    return await rowOf(world, deaths);
  },
};

/** Many at once that need memory, and are refused: their address is none. */
function largePosts(url: string): void {
  const body = JSON.stringify({ email: 'no address', message: 'x'.repeat(50_000) });
  const headers = { 'Content-Type': 'application/json' };
  for (let count = 0; count < 150; count++) {
    fetch(`${url}/api/forms/plain/messages`, { method: 'POST', headers, body }).then(
      (it) => it.body?.cancel(),
      () => {},
    );
  }
}
