import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requirePrograms, startOurs } from './accept/contenders.ts';
import { post } from './support/load.ts';
import type { Machine } from './support/machine.ts';
import { figure, type Part, type Result } from './support/report.ts';

const clients = 64;
/** Until what is run often is compiled; nothing of it counts. In seconds. */
const runIn = 4;
const seconds = 8;
const most = 10;
/** How often it is looked what the program does, in microseconds. */
const interval = 250;

export const profile: Part = {
  about: `The functions in which \`ruffinweb serve --no-deliver\`, with every guard on, is found most often while ${clients} clients post (\`node --cpu-prof\`,
the main thread alone), in percent of the time in which it does something. What a function calls counts for that one. No bar.`,
  run: measure,
};

async function measure(machine: Machine): Promise<Result> {
  await requirePrograms();
  {
    const nodeOptions = ['--cpu-prof', `--cpu-prof-dir=${machine.folder}`, `--cpu-prof-interval=${interval}`];
    await using ours = await startOurs(machine, { nodeOptions });
    await post(ours.url, { clients, seconds: runIn });
    await post(ours.url, { clients, seconds });
  }
  // It writes what it saw when it ends.
  const file = readdirSync(machine.folder).find((name) => name.endsWith('.cpuprofile'));
  if (file === undefined) throw new Error('the server left no profile');
  const seen = readProfile(JSON.parse(readFileSync(join(machine.folder, file), 'utf8')), seconds * 1e6);
  const busy = seen.reduce((sum, it) => sum + it.us, 0);
  return {
    columns: ['function', 'of', '%'],
    rows: seen.slice(0, most).map((it) => [it.name, it.where, figure((it.us / busy) * 100)]),
    bars: [],
  };
}

/** As V8 writes it (Chrome DevTools protocol, `Profiler.Profile`); times in microseconds. */
interface Profile {
  endTime: number;
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}

/** The functions seen in the last `lastUs`, the heaviest first, without those of doing nothing. */
function readProfile({ endTime, nodes, samples, timeDeltas }: Profile, lastUs: number) {
  const frames = new Map(nodes.map((it) => [it.id, it.callFrame]));
  const seen = new Map<string, { name: string; where: string; us: number }>();
  let at = endTime;
  for (let index = samples.length - 1; index >= 0 && at > endTime - lastUs; index--) {
    const us = timeDeltas[index] ?? 0;
    at -= us;
    const frame = frames.get(samples[index] ?? 0);
    if (frame === undefined || frame.functionName === '(idle)') continue;
    const name = frame.functionName || '(anonymous)';
    const where = placeOf(frame);
    const key = `${name} ${where}`;
    const it = seen.get(key) ?? { name, where, us: 0 };
    it.us += us;
    seen.set(key, it);
  }
  return [...seen.values()].sort((a, b) => b.us - a.us);
}

const root = new URL('..', import.meta.url).href;

function placeOf({ url, lineNumber }: { url: string; lineNumber: number }): string {
  if (url === '') return 'Node, V8';
  const line = `:${lineNumber + 1}`;
  if (url.startsWith(root)) return url.slice(root.length).replace('node_modules/', '') + line;
  return (url.startsWith('file:') ? fileURLToPath(url) : url) + line;
}
