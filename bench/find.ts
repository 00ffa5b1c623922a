import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fillMessages } from './memory/fill.ts';
import { openMeasured } from './support/context.ts';
import type { Machine } from './support/machine.ts';
import { launcher, residentMb } from './support/program.ts';
import { atMost, figure, type Part, type Result } from './support/report.ts';
import { interleave, median } from './support/rounds.ts';

const stored = 100_000;
const rounds = 5;

export const find: Part = {
  about: `\`ruffinweb find\` in ${stored.toLocaleString('en')} messages, compared with \`ruffinweb messages export --format jsonl\` of the same messages. *All* finds no
message, so that it compares each. *Near* finds the thousandth newest and stops there; its time is until that line is printed. *Memory* is resident memory.`,
  run: measure,
};

interface Run {
  ms: number;
  /** Until the first line of output. */
  firstMs: number;
  lines: number;
  /** Resident memory in MB: the most in the first half of the time, and in all of it. */
  earlyMb: number;
  mostMb: number;
}

async function measure(machine: Machine): Promise<Result> {
  const env = {
    DATABASE_URL: await machine.createDatabase('find'),
    DATA_DIR: machine.folder,
    ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 1).toString('base64')}`,
  };
  process.stdout.write(`  filling a database with ${stored.toLocaleString('en')} messages\n`);
  {
    await using context = await openMeasured(env);
    await fillMessages(env.DATABASE_URL, context.keyring, stored);
  }
  const command =
    (expected: number, ...args: string[]) =>
    async () =>
      await run(machine.folder, env, args, expected);
  const contenders = {
    export: command(stored, 'messages', 'export', '--format', 'jsonl'),
    all: command(0, 'find', 'hello', 'nothing like it'),
    near: command(1, 'find', 'hello', `${stored - 1000}th`, '--limit', '1', '--json'),
    every: command(stored, 'find', 'hello', '--limit', String(stored), '--json'),
  };
  for (const warm of [contenders.export, contenders.near]) await warm();
  const samples = await interleave(rounds, contenders);
  const middle = (name: keyof typeof contenders, of: (run: Run) => number) => median(samples[name].map(of));
  const mostMb = (it: Run) => it.mostMb;
  const ratios = samples.all.map((it, round) => it.ms / (samples.export[round]?.ms ?? Number.NaN));
  return {
    columns: ['', 'seconds', 'first line (s)', 'MB after a half', 'MB at most'],
    rows: Object.keys(contenders).map((key) => {
      const name = key as keyof typeof contenders;
      const seconds = (of: (run: Run) => number) => figure(middle(name, of) / 1000);
      return [
        name,
        seconds((it) => it.ms),
        middle(name, (it) => it.lines) > 0 ? seconds((it) => it.firstMs) : '',
        figure(middle(name, (it) => it.earlyMb)),
        figure(middle(name, mostMb)),
      ];
    }),
    bars: [
      atMost('all, compared with the export', median(ratios), 1),
      atMost('near, its line', middle('near', (it) => it.firstMs) / 1000, 1, 's'),
      atMost(
        'memory of all, compared with its first half',
        middle('all', (it) => it.mostMb / it.earlyMb),
        1.15,
      ),
      atMost('memory of all, compared with the export', middle('all', mostMb) / middle('export', mostMb), 1.15),
    ],
  };
}

async function run(folder: string, env: Record<string, string>, args: string[], expected: number): Promise<Run> {
  const begun = performance.now();
  const child = spawn(process.execPath, [launcher, ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'ignore'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
  });
  const ended = once(child, 'close') as Promise<[number | null]>;
  const seen: [ms: number, mb: number][] = [];
  const watching = setInterval(() => {
    if (child.exitCode === null) seen.push([performance.now() - begun, residentMb(child.pid ?? 0)]);
  }, 20);
  let [lines, firstMs] = [0, 0];
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    if (lines === 0) firstMs = performance.now() - begun;
    for (const byte of chunk) if (byte === 10) lines++;
  }
  const [code] = await ended;
  clearInterval(watching);
  const ms = performance.now() - begun;
  if (code !== 0 || lines !== expected) throw new Error(`${args.join(' ')}: exit code ${code}, ${lines} lines`);
  const most = (until: number) => Math.max(0, ...seen.flatMap(([at, mb]) => (at <= until && mb > 0 ? [mb] : [])));
  return { ms, firstMs, lines, earlyMb: most(ms / 2), mostMb: most(ms) };
}
