import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { requirePrograms, startOurs } from './accept/contenders.ts';
import { post } from './support/load.ts';
import type { Machine } from './support/machine.ts';
import { figure, type Part, type Result } from './support/report.ts';

const clients = 64;
/** Seconds of load before the measurement, until V8 has compiled the hot functions. */
const runIn = 4;
const seconds = 8;
const maxRows = 10;
/** Microseconds between samples. */
const interval = 250;

export const profile: Part = {
  about: `The functions in which \`ruffinweb serve --no-deliver\`, with every guard on, spends most time while ${clients} clients post, in percent of the time
that is not idle (\`node --cpu-prof\`, the main thread only). Time in a called function counts for the called function. No bar.`,
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
  // Node writes the profile when it exits.
  const file = readdirSync(machine.folder).find((name) => name.endsWith('.cpuprofile'));
  if (file === undefined) throw new Error('the server wrote no profile');
  const seen = readProfile(JSON.parse(readFileSync(join(machine.folder, file), 'utf8')), seconds * 1e6);
  const busy = seen.reduce((sum, it) => sum + it.us, 0);
  return {
    columns: ['function', 'where', '%'],
    rows: seen.slice(0, maxRows).map((it) => [it.name, it.where, figure((it.us / busy) * 100)]),
    bars: [],
  };
}

/** V8's format (Chrome DevTools protocol, `Profiler.Profile`), with times in microseconds. */
interface Profile {
  endTime: number;
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[];
  samples: number[];
  timeDeltas: number[];
}

/** The functions seen in the last `lastUs` microseconds, the heaviest first, without idle time. */
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
