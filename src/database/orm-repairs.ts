/**
 * Everything that depends on undocumented behaviour of MikroORM 7.2, Kysely 0.29 and pg 8.23. Check it when you upgrade
 * one of them.
 */
import type { MikroORM } from '@mikro-orm/postgresql';
import { Client, type Pool, type PoolClient } from 'pg';

/**
 * Kysely's driver returns a connection to the pool after any error. This closes it if every later query would fail too:
 * after a query timeout (it may never answer again) or a "read-only" error (after a failover it still leads to the old
 * primary).
 */
export function dropFaultyClients(pool: Pool): void {
  pool.on('connect', (client: PoolClient) => {
    // pg has no event for a failed query. `query` has too many overloads to repeat them here.
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    (client as { query: unknown }).query = (...args: unknown[]) => {
      const result = query(...args);
      if (result instanceof Promise) {
        result.catch((error: Error) => {
          // pg's types lack `end` on pooled clients; the pool notices it and discards the client.
          if (isConnectionFaulty(error)) (client as unknown as { end(): Promise<void> }).end().catch(() => {});
        });
      }
      return result;
    };
  });
}

/**
 * After a login that pg itself gives up, as without a password, its pool forgets the connection and leaves it open. The
 * process could not end before PostgreSQL closes it, a minute later.
 */
export class ClosingClient extends Client {
  override connect(): Promise<Client>;
  override connect(callback: (error: Error, client?: Client) => void): void;
  override connect(callback?: (error: Error, client?: Client) => void): Promise<Client> | undefined {
    if (callback === undefined) return super.connect();
    super.connect((error: Error) => {
      if (error) cutConnection(this);
      callback(error, this);
    });
    return undefined;
  }
}

/** pg's timeout has no code, only this text. 25006 is PostgreSQL's code for "read-only" (manual, appendix A). */
function isConnectionFaulty(error: Error): boolean {
  return error.message === 'Query read timeout' || (error as { code?: unknown }).code === '25006';
}

/** pg's connection errors have no code, so only their texts distinguish them from bugs. */
export const connectionErrorTexts =
  /timeout exceeded when trying to connect|timeout expired|Query read timeout|Connection terminated|Client has encountered a connection error|does not support SSL connections|establishing an SSL connection|^SASL: /;

/** The process id of the server behind this connection, from the handshake. pg's types lack it. */
export function processIdOf(client: Client): number | null {
  return (client as unknown as { processID: number | null }).processID;
}

/** Cuts a silent connection. pg's own `end` would first send the server a message and wait. */
export function cutConnection(client: Client): void {
  client.connection.stream.destroy();
}

type Connection = ReturnType<MikroORM['em']['getConnection']>;
type Driver = ReturnType<ReturnType<Connection['createKyselyDialect']>['createDriver']>;

/**
 * Returns connections to the pool that Kysely would keep (decision 55):
 * - One that is lost during a transaction. Kysely (`ControlledTransaction`) releases it only after a successful `begin`,
 *   `commit` or `rollback`, so ten lost ones would empty the pool for good.
 * - One that opens while the pool closes. Kysely's `destroy` forgets the pool before it ends it, so `acquireConnection`
 *   throws with the connection in hand, and the pool waits for it for ever.
 */
export function releaseLostConnections(orm: MikroORM): void {
  const connection = orm.em.getConnection();
  const createDialect = connection.createKyselyDialect.bind(connection);
  connection.createKyselyDialect = (overrides) => {
    const dialect = createDialect(overrides);
    const createDriver = dialect.createDriver.bind(dialect);
    dialect.createDriver = () => {
      const driver = withRelease(createDriver());
      driver.destroy = async () => await (await connection.getNativeClient()).end();
      return driver;
    };
    return dialect;
  };
}

/** Releases after a failed `begin`, and counts a failed rollback as done: PostgreSQL rolls a lost connection back. */
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

/**
 * Lets us change rows in which a later release has written kinds and states that this one does not know. MikroORM would
 * refuse even a change of another column. The compiler and the database check the values that we write.
 */
export function allowUnknownValues(orm: MikroORM): void {
  for (const meta of orm.getMetadata().getAll().values()) {
    meta.validateProps = meta.validateProps.filter((it) => it.enum !== true);
  }
}
