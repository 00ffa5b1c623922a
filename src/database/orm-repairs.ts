import type { MikroORM } from '@mikro-orm/postgresql';
import type { Pool, PoolClient } from 'pg';

/**
 * Some connections live on and are of no use: one whose query timed out may never answer again, and one to a server
 * that takes no writes led to the standby before a failover, while the name leads to the new primary by now. The query
 * builder under the ORM hands both back to the pool as healthy, and every later query would meet the same. So they
 * are ended.
 */
export function dropFaultyClients(pool: Pool): void {
  pool.on('connect', (client: PoolClient) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    // The overloads of `query` cannot be written down here; every one of them is passed through unchanged.
    (client as { query: unknown }).query = (...args: unknown[]) => {
      const result = query(...args);
      if (result instanceof Promise) {
        result.catch((error: Error) => {
          if (isOfTheConnection(error)) (client as unknown as { end(): Promise<void> }).end().catch(() => {});
        });
      }
      return result;
    };
  });
}

/** `Query read timeout` is the driver's only handle for that; 25006 is PostgreSQL's for "read-only" (manual, appendix A). */
function isOfTheConnection(error: Error): boolean {
  return error.message === 'Query read timeout' || (error as { code?: unknown }).code === '25006';
}

type Connection = ReturnType<MikroORM['em']['getConnection']>;
type Driver = ReturnType<ReturnType<Connection['createKyselyDialect']>['createDriver']>;

/**
 * Where a connection is lost with a transaction on it, the query builder under the ORM (Kysely 0.29) never hands it back
 * to the pool: it does so only after a `begin`, `commit` or `rollback` that succeeds, and on a lost connection none does.
 * After ten of them the pool would be empty for good. So what fails to begin is handed back at once, and what cannot
 * be rolled back counts as rolled back, which it is: PostgreSQL undoes what a lost connection leaves. The pool then
 * throws the connection away.
 */
export function releaseLostTransactions(orm: MikroORM): void {
  const connection = orm.em.getConnection();
  const createDialect = connection.createKyselyDialect.bind(connection);
  connection.createKyselyDialect = (overrides) => {
    const dialect = createDialect(overrides);
    const createDriver = dialect.createDriver.bind(dialect);
    dialect.createDriver = () => withRelease(createDriver());
    return dialect;
  };
}

function withRelease(driver: Driver): Driver {
  const begin = driver.beginTransaction.bind(driver);
  const rollback = driver.rollbackTransaction.bind(driver);
  driver.beginTransaction = async (connection, settings) => {
    try {
      await begin(connection, settings);
    } catch (error) {
      await driver.releaseConnection(connection);
      throw error;
    }
  };
  driver.rollbackTransaction = (connection) => rollback(connection).catch(() => {});
  return driver;
}
