import { isOutage, lacksWrites } from '../database/outage.ts';
import { tryWrite } from '../database/try-write.ts';
import type { Scope } from './scope.ts';

/** What this process knows about writing to the database. */
export interface WriteAccess {
  /** A post failed because the database lacks space or write access, and nothing was written since. */
  isDoubtful: boolean;
  /** When a write was last tried, by `performance.now()`. */
  triedAt: number;
}

export function openWriteAccess(): WriteAccess {
  return { isDoubtful: false, triedAt: Number.NEGATIVE_INFINITY };
}

/** How often a write is tried while the database takes none, in milliseconds. */
const tryEveryMs = 10_000;

/**
 * Whether the database takes writes. As long as posts are stored, it asks nothing.
 *
 * @throws if the database is away
 */
export async function takesWrites(scope: Pick<Scope, 'em' | 'log'>, access: WriteAccess): Promise<boolean> {
  if (!access.isDoubtful) return true;
  const now = performance.now();
  if (now - access.triedAt < tryEveryMs) return false;
  access.triedAt = now;
  try {
    await tryWrite(scope.em);
  } catch (error) {
    scope.log.warn({ err: error }, 'a write was tried and failed');
    if (lacksWrites(error)) return false;
    if (isOutage(error) && (error as { code?: unknown }).code !== '42501') throw error;
    // This role may not create temporary tables. Only a post can show whether posts are stored again.
  }
  access.isDoubtful = false;
  return true;
}
