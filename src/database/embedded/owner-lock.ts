/**
 * The process that owns the embedded PostgreSQL stops it at the end. It holds an advisory lock on a connection that
 * it keeps open, so the lock is free again when the process or PostgreSQL dies (decision 66).
 */

import type pg from 'pg';
import { EmbeddedOwned } from './errors.ts';

/** Any constant number would do. The lock belongs to the database `postgres`, which a restored backup does not replace. */
const ownerLock = 7_226_947;

/** PostgreSQL needs a moment to notice that its owner was killed, and `encryption status` owns it only briefly. */
const maxWaitMs = 2000;

/**
 * Takes the lock on this connection, which holds it until it ends.
 *
 * @throws {EmbeddedOwned}
 */
export async function takeOwnerLock(client: pg.Client, dataDir: string): Promise<void> {
  try {
    await client.query(`set lock_timeout = ${maxWaitMs}`);
    await client.query(`select pg_advisory_lock(${ownerLock})`);
  } catch (error) {
    // SQLSTATE 55P03: the lock was not free in time.
    throw (error as { code?: string }).code === '55P03' ? new EmbeddedOwned(dataDir) : error;
  }
}
