import type { EntityManager } from '@mikro-orm/postgresql';
import type { Pool, PoolClient, QueryResultRow } from 'pg';

/** One SQL statement with bind parameters, prepared once per connection under its name. */
export interface Statement {
  name: string;
  text: string;
}

/** SQL: a time in milliseconds since 1970, or an interval in milliseconds, as a number. */
export function msSql(timeOrInterval: string): string {
  return `(extract(epoch from ${timeOrInterval}) * 1000)::float8`;
}

/** Deadlock and serialization failure: nothing was changed, so the whole statement may run again. */
export function mayRunAgain(error: unknown): boolean {
  return /^(?:40P01|40001)$/.test(codeOf(error));
}

/** A schema change has made a prepared plan stale. */
const stalePlanCode = '0A000';

/**
 * The statement's name is unknown, or already taken: a pooler (PgBouncer in transaction mode) ran the statement on
 * another connection than the one that prepared it. Nothing was changed.
 */
const namesLostCodes = /^(?:26000|42P05)$/;

/** Set on the pool when that happened. Its statements then have no names. */
const namesLost = Symbol('names lost');

/** Runs one statement and returns its rows. */
export type Ask = <Row extends QueryResultRow>(statement: Statement, values: unknown[]) => Promise<Row[]>;

/**
 * Runs one statement in its own transaction on the ORM's pool. Unlike the ORM it sends values as bind parameters, so
 * that visitors' data never appears in PostgreSQL's log. It is committed when this resolves.
 */
export async function runStatement<Row extends QueryResultRow>(
  em: EntityManager,
  statement: Statement,
  values: unknown[],
): Promise<Row[]> {
  return await withClient(em, async (ask) => await ask<Row>(statement, values));
}

/**
 * Runs statements with bind parameters in one transaction. After one that took locks, the next sees everything that was
 * committed meanwhile. `work` may run several times, so it must not change anything outside the database.
 */
export async function runTogether<Result>(em: EntityManager, work: (ask: Ask) => Promise<Result>): Promise<Result> {
  return await withClient(em, async (ask, client) => {
    await client.query('begin');
    try {
      const result = await work(ask);
      await client.query('commit');
      return result;
    } catch (error) {
      // If the connection is lost, the database has already rolled back.
      await client.query('rollback').catch(() => {});
      throw error;
    }
  });
}

/** Gives `work` a connection from the pool, and runs it again if nothing was changed and another attempt may succeed. */
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
      const code = codeOf(error);
      if (named && namesLostCodes.test(code)) {
        pool[namesLost] = true;
        continue;
      }
      faulty = code === '' || code === stalePlanCode || /^(?:57|08)/.test(code);
      if (run >= 3 || !(code === stalePlanCode || mayRunAgain(error))) throw error;
    } finally {
      // Close a faulty connection instead of reusing it.
      client.release(faulty);
    }
  }
}

/**
 * Runs `work` in its own transaction with its own entity manager, and repeats all of it if PostgreSQL rolled it back to
 * break a deadlock. So `work` must not change anything outside the database.
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

/** The SQLSTATE, or an empty text for an error that PostgreSQL did not send. */
function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' ? code : '';
}
