import type { EntityManager } from '@mikro-orm/postgresql';
import { isOutage, lacksWrites } from '../../database/outage.ts';
import { runStatement } from '../../database/statement.ts';
import { tryWrite } from '../../database/try-write.ts';
import type { Scope } from '../scope.ts';
import { replies } from './statement/store-rows.ts';
import { storeStatement } from './statement/store-statement.ts';

/** What this process knows about writing to the database. */
export interface WriteAccess {
  /** A post failed because the database lacks space, a table or our right to it, and nothing was written since. */
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
    await planStoring(scope.em);
    // Without the right to try, only a post can show whether there is space again.
    await tryWrite(scope.em);
  } catch (error) {
    scope.log.warn({ err: error }, 'a write was tried and failed');
    if (lacksWrites(error)) return false;
    if (isOutage(error)) throw error;
  }
  access.isDoubtful = false;
  return true;
}

/**
 * Plans the statement that stores posts, with all its parts. PostgreSQL then looks for each table and unique index and for
 * our right to it, and changes nothing.
 *
 * @throws the database's error
 */
export async function planStoring(em: EntityManager): Promise<void> {
  const { name, text } = storeStatement({ captchas: true, keys: true, replies: true });
  await runStatement(em, { name: `explain_${name}`, text: `explain ${text}` }, Array(replies.next - 1).fill(null));
}
