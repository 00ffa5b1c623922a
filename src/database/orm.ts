import { Migrator } from '@mikro-orm/migrations';
import { MikroORM } from '@mikro-orm/postgresql';
import { type EntityClass, entities } from '../entities/index.ts';
import { type DatabaseAddress, readDatabaseUrl } from './connection.ts';
import { migrations } from './migrations/index.ts';
import { dropFaultyClients, releaseLostTransactions } from './orm-repairs.ts';

export type Orm = MikroORM;

/** How long to wait for the database, in milliseconds; with 0 as long as the database itself has it, which is for ever as a rule. */
export interface Patience {
  connectMs: number;
  statementMs: number;
  queryMs: number;
  lockMs: number;
}

/** Connecting and one query together stay below the five seconds within which a visitor must have an answer. */
export const requestPatience: Patience = { connectMs: 1500, statementMs: 2500, queryMs: 3000, lockMs: 2000 };

/** An operator who asked for it can wait, and a migration must. */
export const commandPatience: Patience = { connectMs: 5000, statementMs: 0, queryMs: 0, lockMs: 0 };

export interface OrmOptions {
  /** Which to know of, and those that they refer to; all where it is left out. Looking at each takes a while. */
  entities?: readonly EntityClass[] | undefined;
}

/** Opens the pool. Nothing is connected until the first query; the caller closes it with `close()`. */
export async function openOrm(url: string, patience: Patience, options: OrmOptions = {}): Promise<Orm> {
  const address = readDatabaseUrl(url);
  // Not by `init`, which would ask the database something before anybody has a question.
  const orm = new MikroORM({
    entities: [...(options.entities ?? entities)],
    discovery: { warnWhenNoEntities: false },
    ...ormAddress(address),
    pool: { min: 0, max: 10, idleTimeoutMillis: 30_000 },
    // A typo in DATABASE_URL must not create a database.
    ensureDatabase: false,
    // The ORM's own messages would quote values; the log of this program says what matters.
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
      // Only `migrate create`, in a checkout, writes here.
      path: new URL('./migrations', import.meta.url).pathname,
    },
    driverOptions: {
      ssl: address.ssl,
      application_name: 'ruffinweb',
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
  releaseLostTransactions(orm);
  return orm;
}

function ormAddress(address: DatabaseAddress) {
  return {
    host: address.host,
    port: address.port,
    user: address.user,
    password: address.password,
    dbName: address.database,
  };
}
