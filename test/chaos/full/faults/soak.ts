import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { Answer, Step } from '../../../support/smtp-server.ts';
import { type Fault, rowOf } from '../fault.ts';
import type { Process } from '../process.ts';
import { World } from '../world.ts';
import { succeeds } from './operator/commands.ts';

/** Everything at once and for long: each few seconds another fault, and the first server and worker live through all. */
export const soak: Fault = {
  id: 'soak',
  title: 'random faults, one each few seconds: kills, freezes, dead networks, lost connections, refused mail and hooks',
  async run({ postgres, seed, isShort }) {
    await using world = await World.open({ postgres, seed, rate: 150, servers: 2 });
    for (const number of [0, 1]) {
      world.startServer(number);
      world.startWorker(number);
    }
    await world.recovers();
    await world.acknowledges(300);
    const lasting = { server: world.servers[0], worker: world.workers[0] };
    const sizes = [sizesOf(lasting)];
    const durationMs = isShort ? 6000 : 120_000;
    const start = performance.now();
    let cycles = 0;
    for (let isHalf = false; performance.now() - start < durationMs; cycles++) {
      const [, bring] = pick(world, Object.entries(troubles));
      await bring(world);
      await world.recovers();
      await pause(500 + world.random() * 1500);
      if (!isHalf && performance.now() - start > durationMs / 2) {
        isHalf = true;
        sizes.push(sizesOf(lasting));
      }
    }
    world.outside.mail.reset();
    await world.acknowledges(300);
    sizes.push(sizesOf(lasting));
    await succeeds(world, ['emails', 'resend', '--failed', '--yes']);
    await succeeds(world, ['hooks', 'deliveries', 'resend', '--failed']);
    return await rowOf(world, cycles, { note: `at start, half-time and end: ${sizes.join('; ')}.` });
  },
};

const refusals: Answer[] = ['421 later', '451 later', '452 full', '550 no', 'drop', 'reset', 'garbage'];

/** Each is over when it returns. */
const troubles: Record<string, (world: World) => Promise<void>> = {
  'the second server is killed': async (world) => {
    await world.servers[1]?.stop('SIGKILL');
    supervise(world, () => world.startServer(1));
  },
  'the second worker is killed': async (world) => {
    await world.workers[1]?.stop('SIGKILL');
    supervise(world, () => world.startWorker(1));
  },
  'a process stands still': async (world) => {
    const process = pick(world, [...world.servers, ...world.workers]);
    process.signal('SIGSTOP');
    await some(world, 2000);
    process.signal('SIGCONT');
  },
  'connections end': async (world) => {
    await world.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid()`,
    );
  },
  'the network of the database breaks': (world) => breaks(world, world.outside.databaseProxy),
  'the network of the mail server breaks': (world) => breaks(world, world.outside.mailProxy),
  'the mail server refuses': async (world) => {
    const step = pick<Step>(world, ['greeting', 'ehlo', 'mail', 'rcpt', 'data', 'body', 'dot', 'rset']);
    // Within the message a server only goes: a refusal there, and then 250 after the dot, would be two answers to one mail.
    const answer = pick<Answer>(world, step === 'body' ? ['drop', 'reset'] : refusals);
    world.outside.mail.answer(step, answer, { times: 5 + Math.floor(world.random() * 30) });
    await some(world, 2000);
  },
  'the receiver of hooks fails': async (world) => {
    const { hooks } = world.outside;
    hooks.status = 500;
    await some(world, 3000);
    hooks.status = 200;
  },
  'the receiver of hooks is silent': async (world) => {
    const { hooks } = world.outside;
    hooks.isSilent = true;
    await some(world, 3000);
    hooks.isSilent = false;
  },
};

/** As systemd does: a process that meets the next trouble while it starts ends with 1, and is started again. */
function supervise(world: World, start: () => Process): void {
  const process = start();
  process.mayEnd();
  void process.ended.then((how) => {
    if (how === '1' && performance.now() - process.startedAt < 10_000) supervise(world, start);
    else if (how !== '0' && how !== 'SIGKILL') world.ended.push(`a process that was started again ended with ${how}`);
  });
}

async function breaks(world: World, proxy: World['outside']['mailProxy']): Promise<void> {
  proxy.mode = pick(world, ['refuse', 'swallow'] as const);
  await some(world, 5000);
  proxy.mode = 'pass';
}

async function some({ random }: Pick<World, 'random'>, ms: number): Promise<void> {
  await pause((0.2 + 0.8 * random()) * ms);
}

function pick<Item>({ random }: Pick<World, 'random'>, list: readonly Item[]): Item {
  return list[Math.floor(random() * list.length)] as Item;
}

/** Memory and open descriptors, in words. */
function sizesOf(processes: Record<string, Process | undefined>): string {
  const each = Object.entries(processes).map(([name, it]) => {
    const status = readFileSync(`/proc/${it?.pid}/status`, 'utf8');
    const mebibytes = Math.round(Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024);
    return `${name} ${mebibytes} MiB and ${readdirSync(`/proc/${it?.pid}/fd`).length} descriptors`;
  });
  return each.join(', ');
}
