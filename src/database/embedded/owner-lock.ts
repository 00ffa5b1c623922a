/**
 * The process that owns the embedded PostgreSQL stops it at the end. It holds an advisory lock on a connection that
 * it keeps open, so the lock is free again when the process or PostgreSQL dies (decision 66).
 */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type pg from 'pg';
import { EmbeddedOwned } from './errors.ts';
import { findProcess } from './process-table.ts';

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

/**
 * Whether a running server of release 0.2.0 owns the embedded PostgreSQL. Its owner writes its process id and start
 * time to a numbered file, and the highest number counts. To be removed with release 0.4.0.
 */
export async function isOwnedByOldRelease(dataDir: string): Promise<boolean> {
  const numbers = (await readdir(dataDir)).map((name) => Number(/^postgres\.owner-(\d+)$/.exec(name)?.[1] ?? 0));
  const text = await readFile(join(dataDir, `postgres.owner-${Math.max(0, ...numbers)}`), 'utf8').catch(() => '');
  try {
    const owner: { pid: number; startedAt?: string } = JSON.parse(text);
    return owner.startedAt !== undefined && (await findProcess(owner.pid))?.startedAt === owner.startedAt;
  } catch {
    // The file is missing, its owner emptied it when it stopped, or a power failure cut it short.
    return false;
  }
}
