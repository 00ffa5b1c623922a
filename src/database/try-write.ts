import type { EntityManager } from '@mikro-orm/postgresql';
import { inTransaction } from './statement.ts';

/** 64 KB, like the largest post. Rows below 2000 bytes are stored as they are. */
const writeStatement = `create temporary table write_check as select repeat('x', 1900) from generate_series(1, 35)`;

const undo = Symbol('undo');

/**
 * Writes a temporary table beside our tables and rolls it back. Unlike a row in one of them, it always needs space on the
 * disk.
 *
 * @returns false if our role may not create temporary tables: then nothing was tried.
 * @throws the database's error
 */
export async function tryWrite(em: EntityManager): Promise<boolean> {
  // Not by the error: PostgreSQL reports a file system that became read-only as a missing right too.
  const mayTry = `select has_database_privilege(current_database(), 'TEMPORARY') as may`;
  const [row] = await em.execute<{ may: boolean }[]>(mayTry);
  if (!row?.may) return false;
  try {
    await inTransaction(em, async (inside) => {
      await inside.execute(`set local temp_tablespaces = ''`);
      await inside.execute(writeStatement);
      throw undo;
    });
  } catch (error) {
    if (error !== undo) throw error;
  }
  return true;
}
