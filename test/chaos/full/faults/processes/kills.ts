import { type Fault, rowOf } from '../../fault.ts';
import { World } from '../../world.ts';

/** Kills of the server that takes posts, at random moments under load. */
export const killedServer: Fault = {
  id: 'killed-server',
  title: 'the server is killed (kill -9) while visitors post',
  async run({ postgres, seed, isShort }) {
    const cycles = isShort ? 5 : 100;
    await using world = await World.open({ postgres, seed, rate: 150 });
    world.startWorker();
    for (let cycle = 0; cycle < cycles; cycle++) {
      const server = world.startServer();
      await world.recovers();
      await world.acknowledges(Math.floor(world.random() * 150));
      await server.stop('SIGKILL');
    }
    world.startServer();
    await world.recovers();
    return await rowOf(world, cycles);
  },
};
