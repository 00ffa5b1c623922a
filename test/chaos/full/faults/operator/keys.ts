import { testKeys } from '../../../../support/program.ts';
import { until } from '../../../../support/until.ts';
import { type Fault, rowOf } from '../../fault.ts';
import { World } from '../../world.ts';
import { killedAfter, succeeds } from './commands.ts';

const keyOf = (number: number) => `k${number}:${Buffer.alloc(32, number).toString('base64')}`;
const rotate = ['encryption', 'rotate', '--yes', '--json'];

/** Keys are changed as docs/operating/keys.md says, and each rotation is killed in its middle. */
export const rotatedKeys: Fault = {
  id: 'rotated-keys',
  title: '`encryption rotate` is killed (kill -9) in the middle while visitors post, and run again',
  async run({ postgres, seed, isShort }) {
    await using world = await World.open({ postgres, seed, rate: 120 });
    await restart(world);
    await world.acknowledges(isShort ? 400 : 2500);
    let kills = 0;
    let old = testKeys;
    for (const fresh of [2, 3, 4].slice(0, isShort ? 1 : 3).map(keyOf)) {
      await useKeys(world, `${old},${fresh}`);
      await useKeys(world, `${fresh},${old}`);
      for (let round = 0; round < (isShort ? 2 : 3); round++) {
        if (await killedAfter(world, 200 + world.random() * 900, rotate)) kills++;
      }
      await finishRotation(world);
      await useKeys(world, fresh);
      old = fresh;
    }
    return await rowOf(world, kills, { note: `${isShort ? 1 : 3} keys were given up, and nothing needs them.` });
  },
};

/** Two at once, and again until no value needs another key. */
async function finishRotation(world: World): Promise<void> {
  await until(
    'no other key is needed',
    async () => {
      const [{ stdout }] = await Promise.all([succeeds(world, rotate), succeeds(world, rotate)]);
      const { others } = JSON.parse(stdout) as { others: { needed: boolean }[] };
      return others.every((it) => !it.needed);
    },
    120_000,
  );
}

async function useKeys(world: World, keys: string): Promise<void> {
  world.outside.settings.ENCRYPTION_KEYS = keys;
  await restart(world);
}

/** The server as an operator does it, the worker by a kill. */
async function restart(world: World): Promise<void> {
  if (world.servers[0]) await world.stopCleanly(world.servers[0]);
  await world.workers[0]?.stop('SIGKILL');
  world.startServer();
  world.startWorker();
  await world.recovers();
}
