import { setTimeout as pause } from 'node:timers/promises';
import type { EntityManager } from '@mikro-orm/postgresql';
import { ownTables, quoteName } from './copy.ts';
import { migrations } from './migrations/index.ts';
import type { Orm } from './orm.ts';

/** Key of the advisory lock that lets one migrator work at a time. Any constant number would do. */
export const migrationLock = 7_226_943;

export interface SchemaStatus {
  applied: { name: string; appliedAt: Date }[];
  /** Migrations of this release that the database lacks. */
  pending: string[];
  /** Migrations of the database that this release lacks: a newer release applied them. */
  unknown: string[];
}

/**
 * A release normally only adds to what the release before it uses. A migration that removes something has this in its
 * name, so that an older server, which does not know the migration, refuses to start.
 */
export function isContracting(name: string): boolean {
  return name.includes('_contract_');
}

/** The names of this release's migrations. */
export const knownMigrations: ReadonlySet<string> = new Set(migrations.map((it) => it.name));

/** Reads the table itself, because the migrator reports everything as pending when the database is away. */
export async function readSchemaStatus(em: EntityManager): Promise<SchemaStatus> {
  const [found] = await em.execute<{ present: boolean }[]>(
    `select to_regclass('schema_migrations') is not null as present`,
  );
  const rows = found?.present
    ? await em.execute<{ name: string; executed_at: Date }[]>(
        'select name, executed_at from schema_migrations order by id',
      )
    : [];
  const applied = rows.map((row) => ({ name: row.name, appliedAt: new Date(row.executed_at) }));
  const appliedNames = new Set(applied.map((it) => it.name));
  return {
    applied,
    pending: [...knownMigrations].filter((name) => !appliedNames.has(name)),
    unknown: [...appliedNames].filter((name) => !knownMigrations.has(name)),
  };
}

/** The tables stayed in use until the migration gave up. */
export class TablesBusy extends Error {
  override readonly name = 'TablesBusy';
}

export interface Migrating {
  /** Called once when the tables are in use and the wait begins. */
  waiting?: () => void;
  /** How often to try to lock the tables before giving up. */
  tries?: number;
}

/**
 * Applies the pending migrations. Several machines may run it at once: one works, the others wait and find nothing to do.
 *
 * @throws {TablesBusy}
 */
export async function migrateUp(orm: Orm, options?: Migrating): Promise<string[]> {
  return await migrate(orm, 'up', options);
}

/** Reverts the newest applied migration, if any. Data in the columns and tables it drops is lost. @throws {TablesBusy} */
export async function migrateDown(orm: Orm, options?: Migrating): Promise<string[]> {
  return await migrate(orm, 'down', options);
}

/**
 * While a migration waits for a table that, say, a backup is reading, every later statement waits behind it, and a
 * visitor's statement gives up after two seconds. So the migration gives up sooner and tries again, for ten minutes.
 */
const tableLock = { waitMs: 500, pauseMs: 1000, tries: 400 };

/** An autovacuum ends only for a statement that has waited for `deadlock_timeout` (1 s): every third attempt does. */
const pastAutovacuumMs = 1300;

/** SQLSTATEs of a lock timeout and of a deadlock (PostgreSQL manual, appendix A). */
const mayTryAgain: ReadonlySet<string | undefined> = new Set(['55P03', '40P01']);

async function migrate(
  orm: Orm,
  direction: 'up' | 'down',
  { waiting = () => {}, tries = tableLock.tries }: Migrating = {},
): Promise<string[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryToMigrate(orm, direction, attempt % 3 === 0 ? pastAutovacuumMs : tableLock.waitMs);
    } catch (error) {
      if (!mayTryAgain.has((error as { code?: string }).code)) throw error;
      if (attempt >= tries) {
        throw new TablesBusy(
          'the tables are in use, perhaps by a backup, a long export or a vacuum; nothing was changed: let it finish, then migrate again',
          { cause: error },
        );
      }
      if (attempt === 1) waiting();
      await pause(tableLock.pauseMs);
    }
  }
}

/**
 * Takes the lock for the whole transaction that migrates: a session's lock could be taken on one pooled connection and
 * released on another. This lock may wait without a limit, because only other migrators wait for it.
 */
async function tryToMigrate(orm: Orm, direction: 'up' | 'down', waitMs: number): Promise<string[]> {
  return await orm.em.fork().transactional(async (em) => {
    // The limits of the role or the database are meant for everyday statements.
    await em.execute(`select set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)`);
    await em.execute(`select pg_advisory_xact_lock(${migrationLock})`);
    await em.execute(`set local lock_timeout = ${waitMs}`);
    const done = await orm.migrator[direction]({ transaction: em.getTransactionContext() });
    return done.map((it) => it.name);
  });
}

/**
 * Gives the database these migrations and no others, for a restore. Drops our tables if it has others.
 *
 * @param requireReplaceable throws if the database must stay as it is. It runs under the migrator's lock, and is told
 *   whether tables would be dropped.
 */
export async function rebuildSchema(
  orm: Orm,
  names: readonly string[],
  requireReplaceable: (em: EntityManager, drops: boolean) => Promise<void>,
): Promise<void> {
  await orm.em.fork().transactional(async (em) => {
    await em.execute(`select pg_advisory_xact_lock(${migrationLock})`);
    const applied = (await readSchemaStatus(em)).applied.map((it) => it.name);
    if (applied.length > 0) {
      const isSame = isSameSet(applied, names);
      await requireReplaceable(em, !isSame);
      if (isSame) return;
      // Without applied migrations, tables with these names would be another program's.
      await em.execute(`drop table if exists ${ownTables(orm).map(quoteName).join(', ')}`);
      // Not dropped: the migrator remembers that it exists.
      await em.execute('delete from schema_migrations');
    }
    await orm.migrator.up({ transaction: em.getTransactionContext(), migrations: [...names] });
  });
}

export function isSameSet(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && new Set([...some, ...others]).size === some.length;
}
