import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { requirePrograms, settings, startOurs } from './accept/contenders.ts';
import { fillMessages } from './memory/fill.ts';
import { openMeasured } from './support/context.ts';
import { post } from './support/load.ts';
import type { Machine } from './support/machine.ts';
import { launcher, residentMb } from './support/program.ts';
import { atLeast, atMost, figure, type Part, type Result } from './support/report.ts';
import { median } from './support/rounds.ts';

const starts = 5;
const early = 50_000;
const late = 500_000;
const addresses = 100_000;
const exported = 1_000_000;

/** Posting stops after this time, so that a slow machine also finishes within minutes. */
const postForMs = 6 * 60_000;

export const memory: Part = {
  about: `Resident memory (\`VmRSS\`, in MB of a million bytes) of \`ruffinweb serve --no-deliver\` with every guard on while 64 clients post from a
hundred thousand addresses, and of \`ruffinweb messages export --format jsonl\` with a million messages.`,
  run: measure,
};

async function measure(machine: Machine): Promise<Result> {
  await requirePrograms();
  const idle = await measureIdle(machine);
  const posting = await measurePosting(machine);
  const exporting = await measureExport(machine);
  return {
    columns: ['', 'MB'],
    rows: [
      [`idle, median of ${starts} starts`, figure(median(idle))],
      [`idle, highest of ${starts} starts`, figure(Math.max(...idle))],
      ['highest with 64 clients', figure(posting.most)],
      [`after ${early.toLocaleString('en')} posts`, figure(posting.afterEarly)],
      [`after ${posting.posts.toLocaleString('en')} posts`, figure(posting.afterLate)],
      ['export, after a tenth', figure(exporting.early)],
      ['export, highest', figure(exporting.most)],
    ],
    bars: [
      atMost('idle', median(idle), 150, 'MB'),
      atMost('highest with 64 clients', posting.most, 220, 'MB'),
      atLeast('number of posts', posting.posts, late, ''),
      atMost('after all posts, compared with after the first tenth', posting.afterLate / posting.afterEarly, 1.15),
      atMost('export of a million, compared with its first tenth', exporting.most / exporting.early, 1.15),
    ],
  };
}

/** Memory after a second of posts and a rest, for several starts because V8's compilers keep a different amount each time. */
async function measureIdle(machine: Machine): Promise<number[]> {
  const idle: number[] = [];
  while (idle.length < starts) {
    await using ours = await startOurs(machine, { name: `idle_${idle.length}` });
    await post(ours.url, { clients: 1, seconds: 1 });
    // Until memory that starting and posting needed has been returned.
    await pause(3000);
    idle.push(residentMb(ours.pid));
  }
  return idle;
}

async function measurePosting(machine: Machine) {
  await using ours = await startOurs(machine);
  await post(ours.url, { clients: 1, seconds: 1 });
  let most = 0;
  const watching = setInterval(() => {
    most = Math.max(most, residentMb(ours.pid));
  }, 100);
  const until = performance.now() + postForMs;
  let posts = 0;
  let afterEarly: number | undefined;
  while (posts < late && performance.now() < until) {
    posts += (await post(ours.url, { clients: 64, seconds: 4, addresses })).answered;
    if (posts >= early) afterEarly ??= residentMb(ours.pid);
    process.stdout.write(`  ${posts.toLocaleString('en')} posts\n`);
  }
  clearInterval(watching);
  const afterLate = residentMb(ours.pid);
  return { most, posts, afterEarly: afterEarly ?? afterLate, afterLate };
}

async function measureExport(machine: Machine) {
  const DATABASE_URL = await machine.createDatabase('exported');
  process.stdout.write(`  filling a database with ${exported.toLocaleString('en')} messages\n`);
  {
    await using context = await openMeasured({ ...settings, DATABASE_URL });
    await fillMessages(DATABASE_URL, context.keyring, exported);
  }
  const child = spawn(process.execPath, [launcher, 'messages', 'export', '--format', 'jsonl'], {
    cwd: machine.folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...settings, DATABASE_URL },
  });
  const ended = once(child, 'close');
  let lines = 0;
  let early = 0;
  let most = 0;
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    for (const byte of chunk) if (byte === 10) lines++;
    if (lines < exported && child.exitCode === null) {
      const now = residentMb(child.pid ?? 0);
      if (lines <= exported / 10) early = Math.max(early, now);
      most = Math.max(most, now);
    }
  }
  await ended;
  if (lines !== exported) throw new Error(`the export has ${lines} lines`);
  return { early, most };
}
