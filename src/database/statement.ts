import type { EntityManager } from '@mikro-orm/postgresql';
import type { Pool, PoolClient, QueryResultRow } from 'pg';

/** One SQL statement with bind parameters, prepared once per connection under its name. */
export interface Statement {
  name: string;
  text: string;
}

/** Deadlock and serialisation failure: nothing was done, the whole statement may be run again. */
const runAgainCodes = new Set(['40P01', '40001']);

export function mayRunAgain(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && runAgainCodes.has(code);
}

/** A prepared plan that a schema change on another connection has outdated. */
const stalePlanCode = '0A000';

/**
 * A name that is not known, or known already: a pooler stands between (PgBouncer in transaction mode), and a name that
 * was given on one of the database's connections is asked for on another. Nothing was done.
 */
const namesLostCodes = new Set(['26000', '42P05']);

/** Kept on the pool behind which that was seen: from then on its statements have no names. */
const namesLost = Symbol('names lost');

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
  return await withClient(em, async (ask) => await ask<Row>(statement, values));
}

/**
 * Runs a statement once the locks of another are held, both in one transaction: the second sees all that was
 * committed while the first waited, which one statement alone would not.
 */
export async function runLocked<Row extends QueryResultRow>(
  em: EntityManager,
  lock: { statement: Statement; values: unknown[] },
  statement: Statement,
  values: unknown[],
): Promise<Row[]> {
  return await withClient(em, async (ask, client) => {
    await client.query('begin');
    try {
      await ask(lock.statement, lock.values);
      const rows = await ask<Row>(statement, values);
      await client.query('commit');
      return rows;
    } catch (error) {
      // Where the connection is lost, the database has rolled it back already.
      await client.query('rollback').catch(() => {});
      throw error;
    }
  });
}

type Ask = <Row extends QueryResultRow>(statement: Statement, values: unknown[]) => Promise<Row[]>;

/** A connection of the pool for as long as a transaction takes, which is run again where the database says it may be. */
async function withClient<Result>(
  em: EntityManager,
  work: (ask: Ask, client: PoolClient) => Promise<Result>,
): Promise<Result> {
  const pool: Pool & { [namesLost]?: true } = await em.getConnection().getNativeClient();
  for (let run = 1; ; run++) {
    const client = await pool.connect();
    let faulty = false;
    const named = !pool[namesLost];
    const ask: Ask = async <Row extends QueryResultRow>({ name, text }: Statement, values: unknown[]) =>
      (await client.query<Row>({ ...(named && { name }), text, values })).rows;
    try {
      return await work(ask, client);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      if (named && typeof code === 'string' && namesLostCodes.has(code)) {
        pool[namesLost] = true;
        continue;
      }
      faulty = typeof code !== 'string' || code === stalePlanCode || code.startsWith('57') || code.startsWith('08');
      if (run >= 3 || !(code === stalePlanCode || mayRunAgain(error))) throw error;
    } finally {
      // A faulty connection is closed, not handed to the next one.
      client.release(faulty);
    }
  }
}

/**
 * Does work in a transaction of its own, with an entity manager of its own, and does all of it again where PostgreSQL
 * broke a deadlock by undoing it: nothing was done then. So `work` must leave nothing behind outside the database.
 */
export async function inTransaction<Result>(
  em: EntityManager,
  work: (inside: EntityManager) => Promise<Result>,
): Promise<Result> {
  for (let run = 1; ; run++) {
    try {
      return await em.fork().transactional(async (inside) => await work(inside as EntityManager));
    } catch (error) {
      if (run >= 3 || !mayRunAgain(error)) throw error;
    }
  }
}
