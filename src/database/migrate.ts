import { setTimeout as pause } from 'node:timers/promises';
import type { EntityManager } from '@mikro-orm/postgresql';
import { migrations } from './migrations/index.ts';
import type { Orm } from './orm.ts';

/** Key of the advisory lock that lets one migrator work at a time; any constant number does. */
export const migrationLock = 7_226_943;

export interface SchemaStatus {
  applied: { name: string; appliedAt: Date }[];
  /** Known here, not yet in the database. */
  pending: string[];
  /** In the database, not known here: a newer release was at work. */
  unknown: string[];
}

/**
 * A release only expands what the release before it uses. One that takes something away says so in the name of
 * its migration, so that an older server, which does not know the migration, still knows to stay away.
 */
export function isContracting(name: string): boolean {
  return name.includes('_contract_');
}

/** Reads the table itself: the migrator reports everything as pending when the database is away. */
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
  const knownNames = new Set<string>(migrations.map((it) => it.name));
  return {
    applied,
    pending: [...knownNames].filter((name) => !appliedNames.has(name)),
    unknown: [...appliedNames].filter((name) => !knownNames.has(name)),
  };
}

/** Somebody has been at the tables all the time that a migration could wait for them. */
export class TablesBusy extends Error {
  override readonly name = 'TablesBusy';
}

export interface Migrating {
  /** Called when the tables are not to be had yet and the wait begins. */
  waiting?: () => void;
  /** How often to ask for the tables before giving up. */
  tries?: number;
}

/**
 * Applies what is pending. Safe to run from several machines at once: one works, the others wait and find nothing to do.
 *
 * @throws {TablesBusy}
 */
export async function migrateUp(orm: Orm, options: Migrating = {}): Promise<string[]> {
  return await whileServing(orm, options, async (em) => {
    const done = await orm.migrator.up({ transaction: em.getTransactionContext() });
    return done.map((it) => it.name);
  });
}

/** Takes back the newest applied migration, or none. Data in what it drops is lost. @throws {TablesBusy} */
export async function migrateDown(orm: Orm, options: Migrating = {}): Promise<string[]> {
  return await whileServing(orm, options, async (em) => {
    const done = await orm.migrator.down({ transaction: em.getTransactionContext() });
    return done.map((it) => it.name);
  });
}

/**
 * A migration that waits for a table, which a backup is reading, say, makes everybody else wait behind it, and
 * visitors wait two seconds for a lock. So it gives up sooner, lets them by, and tries again, for ten minutes.
 */
const tableLock = { waitMs: 500, pauseMs: 1000, tries: 400 };

/**
 * An autovacuum gives way, but only to somebody who has waited for as long as `deadlock_timeout` (a second). So while
 * one is under way a try waits a little longer than that, and a visitor with it, as far as a visitor can.
 */
const pastAutovacuum = `
select least(setting::int + 300, 1800) as wait_ms from pg_settings
where name = 'deadlock_timeout' and exists (
  select from (select datid from pg_stat_progress_vacuum union all select datid from pg_stat_progress_analyze) as running
  join pg_database on pg_database.oid = running.datid where datname = current_database()
)`;

async function whileServing(
  orm: Orm,
  { waiting = () => {}, tries = tableLock.tries }: Migrating,
  work: (em: EntityManager) => Promise<string[]>,
): Promise<string[]> {
  let { waitMs } = tableLock;
  for (let tried = 1; ; tried++) {
    try {
      return await withMigrationLock(orm, waitMs, work);
    } catch (error) {
      if (!givesWay.has((error as { code?: string }).code)) throw error;
      if (tried >= tries) {
        throw new TablesBusy(
          'something keeps the tables to itself, such as a backup, a long export or a vacuum: let it finish, then migrate again; nothing was changed',
          { cause: error },
        );
      }
      if (tried === 1) waiting();
      await pause(tableLock.pauseMs);
      const [vacuum] = await orm.em.fork().execute<{ wait_ms: number }[]>(pastAutovacuum);
      waitMs = vacuum?.wait_ms ?? tableLock.waitMs;
    }
  }
}

/** SQLSTATEs of a lock that was not to be had in time, and of one that could not be had at all (PostgreSQL manual, appendix A). */
const givesWay: ReadonlySet<string | undefined> = new Set(['55P03', '40P01']);

/**
 * The lock comes first and lives as long as the transaction that migrates: a session's lock could be taken on
 * one pooled connection and released on another. For that one, which keeps nobody else waiting, there is no haste.
 */
async function withMigrationLock(
  orm: Orm,
  waitMs: number,
  work: (em: EntityManager) => Promise<string[]>,
): Promise<string[]> {
  return await orm.em.fork().transactional(async (em) => {
    // Limits that the role or the database has are for statements of every day.
    await em.execute(`select set_config('statement_timeout', '0', true), set_config('lock_timeout', '0', true)`);
    await em.execute(`select pg_advisory_xact_lock(${migrationLock})`);
    await em.execute(`set local lock_timeout = ${waitMs}`);
    return await work(em as EntityManager);
  });
}
