import { Migrator } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import { type EntityClass, entities } from '../entities/index.ts';
import { readDatabaseUrl } from './connection.ts';
import { migrations } from './migrations/index.ts';
import { allowUnknownValues, ClosingClient, dropFaultyClients, releaseLostConnections } from './orm-repairs.ts';

export type Orm = MikroORM;

/** How long to wait for the database, in milliseconds. 0 leaves it to the database's own limits, usually none. */
export interface Patience {
  connectMs: number;
  statementMs: number;
  queryMs: number;
  lockMs: number;
}

/** A visitor must get an answer within five seconds, so connecting plus one query must take less. */
export const requestPatience: Patience = { connectMs: 1500, statementMs: 2500, queryMs: 3000, lockMs: 2000 };

/** The `application_name` of commands. Those of servers and workers begin with `ruffinweb`, too. */
export const commandName = 'ruffinweb command';

/** An operator can wait, and a migration must. */
export const commandPatience: Patience = { connectMs: 5000, statementMs: 0, queryMs: 0, lockMs: 0 };

export interface OrmOptions {
  /** The entities to load, with those that they refer to; all by default. Loading takes time for each one. */
  entities?: readonly EntityClass[] | undefined;
}

/** Opens the pool. It connects at the first query; the caller closes it with `close()`. */
export async function openOrm(url: string, patience: Patience, options: OrmOptions = {}): Promise<Orm> {
  const { database: dbName, ssl, ...login } = readDatabaseUrl(url);
  // Not `MikroORM.init`, which would query the database at once.
  const orm = new MikroORM({
    entities: [...(options.entities ?? entities)],
    discovery: { warnWhenNoEntities: false },
    ...login,
    dbName,
    pool: { min: 0, max: 10, idleTimeoutMillis: 30_000 },
    // A typo in DATABASE_URL must not create a database.
    ensureDatabase: false,
    // The ORM's own messages quote values. This program logs what matters.
    logger: () => {},
    extensions: [Migrator],
    migrations: {
      migrationsList: migrations,
      tableName: 'schema_migrations',
      snapshot: false,
      silent: true,
      emit: 'ts',
      transactional: true,
      allOrNothing: true,
      disableForeignKeys: false,
      // The Migrator needs a folder, but nothing is written there.
      path: new URL('./migrations', import.meta.url).pathname,
    },
    driverOptions: {
      Client: ClosingClient,
      ssl,
      application_name: patience === commandPatience ? commandName : 'ruffinweb',
      connectionTimeoutMillis: patience.connectMs,
      query_timeout: patience.queryMs,
      statement_timeout: patience.statementMs,
      lock_timeout: patience.lockMs,
      idle_in_transaction_session_timeout: 10_000,
      keepAlive: true,
      keepAliveInitialDelayMillis: 5000,
      maxLifetimeSeconds: 1800,
      onPoolCreated: dropFaultyClients,
    },
  });
  releaseLostConnections(orm);
  allowUnknownValues(orm);
  return orm;
}
