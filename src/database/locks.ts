import type { EntityManager } from '@mikro-orm/postgresql';
import type { Pool } from 'pg';
import { binaryArray } from './binary-array.ts';

/** Encodes lock keys as a parameter: each once and in one order, so that two statements cannot deadlock. */
export function sortLocks(keys: readonly bigint[]): Buffer {
  return binaryArray.bigint([...new Set(keys)].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
}

/**
 * Takes an advisory lock until it is disposed. A transaction that does nothing else holds it, so it ends with the
 * process. A session's lock would not work behind a pooler, which gives the connection to other clients.
 *
 * @returns undefined if another process holds the lock.
 */
export async function holdLock(em: EntityManager, key: number): Promise<AsyncDisposable | undefined> {
  const pool: Pool = await em.getConnection().getNativeClient();
  const client = await pool.connect();
  // Without a listener, losing the idle connection would end the process.
  const ignore = () => {};
  client.on('error', ignore);
  const release = async () => {
    const ended = await client.query('rollback').catch(() => undefined);
    client.off('error', ignore);
    client.release(ended === undefined);
  };
  try {
    await client.query('begin');
    // Idle by design: the limit is meant for forgotten transactions.
    await client.query('set local idle_in_transaction_session_timeout = 0');
    // If our network is lost, PostgreSQL would keep the lock for two hours.
    await client.query(
      'set local tcp_keepalives_idle = 10; set local tcp_keepalives_interval = 5; set local tcp_keepalives_count = 3',
    );
    const { rows } = await client.query<{ taken: boolean }>('select pg_try_advisory_xact_lock($1) as taken', [key]);
    if (rows[0]?.taken) return { [Symbol.asyncDispose]: release };
  } catch (error) {
    await release();
    throw error;
  }
  await release();
  return undefined;
}
