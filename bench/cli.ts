import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { installPacked, packedFile } from '../test/support/packed-file.ts';
import { openQueue } from './deliver/queue.ts';
import type { Machine } from './support/machine.ts';
import { launcher } from './support/program.ts';
import { atMost, figure, type Part, type Result } from './support/report.ts';
import { interleave, median } from './support/rounds.ts';

const rounds = 25;

export const cli: Part = {
  about: `Run time of a whole command with a warm compile cache: the packed program as \`npm install --global\` installs it, and a clone, which runs the
sources. \`senders list\` prints a page of 50 from a warm database.`,
  run: measure,
};

const commands = {
  '--version': ['--version'],
  '--help': ['--help'],
  'completion bash': ['completion', 'bash'],
  'senders list': ['senders', 'list'],
};

async function measure(machine: Machine): Promise<Result> {
  await using queue = await openQueue(await machine.createDatabase('cli'), 1, machine.folder);
  for (let stored = 0; stored < 60; stored++) await queue.storeOne();
  const packed = await installPacked(await packedFile(), join(machine.folder, 'prefix'));
  const time = (args: readonly string[]) => async () => {
    const begun = performance.now();
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: machine.folder, env: queue.env });
    if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
    return performance.now() - begun;
  };
  const contenders: Record<string, () => Promise<number>> = { 'node -e 0': time(['-e', '0']) };
  for (const [name, args] of Object.entries(commands)) {
    contenders[`${name}, packed`] = time([packed, ...args]);
    contenders[`${name}, clone`] = time([launcher, ...args]);
  }
  // Warms the compile caches.
  for (const run of Object.values(contenders)) await run();
  const samples = await interleave(rounds, contenders);
  const base = median(samples['node -e 0'] ?? []);
  const ratioOf = (name: string) => median(samples[name] ?? []) / base;
  return {
    columns: ['', 'packed ms', '× node -e 0', 'clone ms', '× node -e 0'],
    rows: [
      ['node -e 0', figure(base), '', '', ''],
      ...Object.keys(commands).map((name) => [
        name,
        ...['packed', 'clone'].flatMap((where) => {
          const ratio = ratioOf(`${name}, ${where}`);
          return [figure(ratio * base), figure(ratio, '×')];
        }),
      ]),
    ],
    bars: Object.keys(commands).map((name) =>
      atMost(`${name}, packed`, ratioOf(`${name}, packed`), name === 'senders list' ? 4 : 1.6),
    ),
  };
}
