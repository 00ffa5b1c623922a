import type { EntityManager } from '@mikro-orm/postgresql';
import type { Pool, QueryResultRow } from 'pg';

/** One SQL statement with bind parameters, prepared once per connection under its name. */
export interface Statement {
  name: string;
  text: string;
}

/** Deadlock and serialisation failure: nothing was done, the whole statement may be run again. */
const runAgainCodes = new Set(['40P01', '40001']);

/** A prepared plan that a schema change on another connection has outdated. */
const stalePlanCode = '0A000';

/**
 * Runs a statement by itself, that is in a transaction of its own, on the ORM's pool. Unlike the ORM's queries
 * its values travel as bind parameters, so that nothing a visitor gave ever stands in PostgreSQL's log.
 * When this resolves, it is committed.
 */
export async function runStatement<Row extends QueryResultRow>(
  em: EntityManager,
  statement: Statement,
  values: unknown[],
): Promise<Row[]> {
  const pool: Pool = await em.getConnection().getNativeClient();
  for (let run = 1; ; run++) {
    const client = await pool.connect();
    let faulty = false;
    try {
      const result = await client.query<Row>({ ...statement, values });
      return result.rows;
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      faulty = typeof code !== 'string' || code === stalePlanCode || code.startsWith('57') || code.startsWith('08');
      if (run >= 3 || !(code === stalePlanCode || (typeof code === 'string' && runAgainCodes.has(code)))) throw error;
    } finally {
      // A faulty connection is closed, not handed to the next one.
      client.release(faulty);
    }
  }
}
