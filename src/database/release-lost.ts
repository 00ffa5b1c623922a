import type { MikroORM } from '@mikro-orm/postgresql';

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
