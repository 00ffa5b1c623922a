/**
 * Which process owns the embedded server, that is, stops it at the end. The claim is a file with the owner's
 * process id and start time; a claim whose process is gone counts for nothing, so a kill -9 leaves no lock behind.
 *
 * Claims are numbered and the highest counts. Taking over means making the next number by exclusive link, which
 * only one process can, and a number is never reused while a higher one exists; a single file that is deleted and
 * made again would let two processes that both saw the same dead owner end up as owners.
 */

import { readdir, readFile, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { findProcess } from './process-table.ts';
import { writeOnce } from './write-once.ts';

export interface Claim {
  release(): Promise<void>;
}

/** Takes the ownership of the server in this folder; undefined while another living process (or call) has it. */
export async function claimOwnership(dataDir: string): Promise<Claim | undefined> {
  const mine = JSON.stringify({ pid: process.pid, startedAt: (await findProcess(process.pid))?.startedAt });
  for (;;) {
    const newest = (await listClaims(dataDir)).at(-1) ?? 0;
    if (newest > 0 && (await isHeld(claimPath(dataDir, newest)))) return undefined;

    const path = claimPath(dataDir, newest + 1);
    // Readable by all: an ordinary user has to see that root owns the server, and the other way round.
    if (!(await writeOnce(path, mine, 0o644))) continue;

    const all = await listClaims(dataDir);
    if (all.at(-1) !== newest + 1) {
      // Someone was two steps ahead and had already cleared this number away.
      await rm(path, { force: true });
      continue;
    }
    for (const old of all.slice(0, -1)) await rm(claimPath(dataDir, old), { force: true });
    // Emptied, not deleted: the highest number has to stay known.
    return { release: () => truncate(path).catch(() => {}) };
  }
}

/** Whether a living process has it. */
export async function isOwned(dataDir: string): Promise<boolean> {
  const newest = (await listClaims(dataDir)).at(-1);
  return newest !== undefined && (await isHeld(claimPath(dataDir, newest)));
}

function claimPath(dataDir: string, number: number): string {
  return join(dataDir, `postgres.owner-${number}`);
}

async function listClaims(dataDir: string): Promise<number[]> {
  const numbers = (await readdir(dataDir)).map((name) => Number(/^postgres\.owner-(\d+)$/.exec(name)?.[1] ?? 0));
  return numbers.filter((number) => number > 0).sort((a, b) => a - b);
}

async function isHeld(path: string): Promise<boolean> {
  const text = await readFile(path, 'utf8').catch(() => '');
  if (text === '') return false;
  try {
    const owner: { pid: number; startedAt?: string } = JSON.parse(text);
    const running = await findProcess(owner.pid);
    return running !== undefined && running.startedAt === owner.startedAt;
  } catch {
    // Not one of ours; a machine that lost power may leave a torn file.
    return false;
  }
}
