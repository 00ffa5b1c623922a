import type { EntityManager } from '@mikro-orm/postgresql';
import type { Pool } from 'pg';
import { binaryArray } from './binary-array.ts';

/** Each once, in one order for everybody, as a parameter. */
export function sortLocks(keys: readonly bigint[]): Buffer {
  return binaryArray.bigints([...new Set(keys)].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
}

/**
 * Takes an advisory lock for as long as some work takes. It is that of a transaction which does nothing else, so that
 * it ends with the process, however that ends, and holds behind a pooler too: a session's lock would stay on a
 * connection that is somebody else's a moment later.
 *
 * @returns undefined where somebody else has it.
 */
export async function holdLock(em: EntityManager, key: number): Promise<AsyncDisposable | undefined> {
  const pool: Pool = await em.getConnection().getNativeClient();
  const client = await pool.connect();
  // A connection that is lost while it only waits must not end the process.
  const ignore = () => {};
  client.on('error', ignore);
  const letGo = async () => {
    const ended = await client.query('rollback').catch(() => undefined);
    client.off('error', ignore);
    client.release(ended === undefined);
  };
  try {
    await client.query('begin');
    // It is idle by design; the limit is for transactions that were forgotten.
    await client.query('set local idle_in_transaction_session_timeout = 0');
    const { rows } = await client.query<{ taken: boolean }>('select pg_try_advisory_xact_lock($1) as taken', [key]);
    if (rows[0]?.taken) return { [Symbol.asyncDispose]: letGo };
  } catch (error) {
    await letGo();
    throw error;
  }
  await letGo();
  return undefined;
}
