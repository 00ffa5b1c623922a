import { soon } from '../../../../support/until.ts';
import { type Fault, rowOf } from '../../fault.ts';
import type { HookStep } from '../../ledgers/hook-sink.ts';
import { World } from '../../world.ts';

const steps: readonly HookStep[] = ['connected', 'read', 'written', 'answered'];
const statements = ['claim_deliveries', 'settle_deliveries'];

/** Kills at each stage of a hook's delivery, and while its statements run. */
export const killedHookWorker: Fault = {
  id: 'killed-hook-worker',
  title: 'the worker is killed (kill -9) at each stage of a webhook',
  async run({ postgres, seed, isShort }) {
    await using world = await World.open({ postgres, seed, rate: 100 });
    const { hooks, databaseProxy } = world.outside;
    world.startServer();
    const moments = [...steps, ...statements];
    const cycles = isShort ? 2 : 16;
    for (let cycle = 0; cycle < cycles; cycle++) {
      const worker = world.startWorker();
      await world.recovers();
      await world.sends(Math.floor(world.random() * 40));
      const moment = isShort ? (steps[2 + cycle] ?? 'read') : (moments[cycle % moments.length] ?? 'read');
      const isStep = (it: string): it is HookStep => steps.includes(it as HookStep);
      let goOn = () => {};
      if (isStep(moment)) goOn = await soon(moment, hooks.hold(moment));
      else await soon(moment, databaseProxy.reached(moment));
      await worker.stop('SIGKILL');
      goOn();
    }
    world.startWorker();
    await world.recovers();
    return await rowOf(world, cycles);
  },
};
