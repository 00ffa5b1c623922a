import type { EntityManager } from '@mikro-orm/postgresql';
import type { PoolClient } from 'pg';
import { copyIn, inLongTransaction, ownTables, quoteName, readTables, type TableColumns } from '../../database/copy.ts';
import { isSameSet, migrateUp, migrationLock, readSchemaStatus, rebuildSchema } from '../../database/migrate.ts';
import { commandName, type Orm } from '../../database/orm.ts';
import { restoredPause } from '../delivery/pause/pause-after-restore.ts';
import { refuseNewerSchema } from './fit-backup.ts';
import { type Backup, BackupFault, tablePath } from './manifest.ts';
import { type Copying, copyHashed, readFileStream } from './stream-files.ts';

/** In `duties` from the commit of the rows until the restore is complete, so that a killed one can be run again. */
const markerOf = (backup: Backup) => `restore ${backup.id}`;

/**
 * Fills an empty database: the backup's schema, then all rows and the pause of the queue in one transaction, then the
 * newest schema. After a kill anywhere it can be run again.
 *
 * @throws {BackupFault} if the database is in use. Nothing was changed.
 */
export async function restoreRows(orm: Orm, backup: Backup, copying: Copying): Promise<void> {
  const em = orm.em.fork();
  refuseNewerSchema((await readSchemaStatus(em)).applied.map((it) => it.name));
  if (!(await isRestored(em, backup))) {
    await rebuildSchema(orm, backup.manifest.migrations, requireReplaceable).catch((error: unknown) => {
      // SQLSTATE duplicate_table.
      if ((error as { code?: unknown }).code !== '42P07') throw error;
      throw new BackupFault(
        'the database has a table of another program with one of our names: name an empty database',
      );
    });
    await copyRows(orm, backup, copying);
  }
  await migrateUp(orm);
}

/** The restore is complete. Also removes a marker that came with the rows. */
export async function removeRestoreMarkers(em: EntityManager): Promise<void> {
  await em.execute(`delete from duties where name like 'restore %'`);
}

async function isRestored(em: EntityManager, backup: Backup): Promise<boolean> {
  const [found] = await em.execute<{ present: boolean }[]>(`select to_regclass('duties') is not null as present`);
  if (found?.present !== true) return false;
  return (await em.execute('select from duties where name = ?', [markerOf(backup)])).length > 0;
}

type Query = <Row extends object>(sql: string) => Promise<Row[]>;

async function requireReplaceable(em: EntityManager, drops: boolean): Promise<void> {
  const query: Query = (sql) => em.execute(sql);
  await requireUnused(query);
  if (drops) await requireNoServer(query);
}

/** An older schema lacks some of these tables. */
async function requireUnused(query: Query): Promise<void> {
  const present = await query<{ name: string }>(
    `select name from unnest('{senders,messages,emails,erasures,suppressions}'::text[]) as given (name)
     where to_regclass(name) is not null`,
  );
  const [found] = await query<{ used: boolean }>(
    `select ${present.map(({ name }) => `exists (select from ${name})`).join(' or ')} as used`,
  );
  if (!found?.used) return;
  throw new BackupFault(
    'the database already has senders, messages or emails, or remembers erased or blocked people, and a restore would replace them: name an empty database in DATABASE_URL, or another DATA_DIR',
  );
}

async function copyRows(orm: Orm, backup: Backup, copying: Copying): Promise<void> {
  const em = orm.em.fork();
  const pause = await restoredPause({ em });
  await inLongTransaction(em, 'begin', async (client) => {
    await client.query(`select pg_advisory_xact_lock(${migrationLock})`);
    const tables = await readTables(client, ownTables(orm));
    await client.query(`lock table ${tables.map((it) => quoteName(it.name)).join(', ')} in access exclusive mode`);
    const query: Query = async <Row extends object>(sql: string) => (await client.query<Row>(sql)).rows;
    if (!(await mayFill(client, backup, query))) return;
    requireSameTables(backup, tables);
    await client.query(`truncate ${tables.map((it) => quoteName(it.name)).join(', ')}`);
    for (const { name } of tables) await copyTable(client, backup, name, copying);
    await client.query(pause);
    await client.query('insert into duties (name, done_at) values ($1, now())', [markerOf(backup)]);
  });
}

/**
 * A server that has started on the empty database would go on with the index key that it made there, so that nobody
 * would find its senders by address.
 */
async function requireNoServer(query: Query): Promise<void> {
  const others = await query(
    `select from pg_stat_activity where datname = current_database() and application_name like 'ruffinweb%'
       and application_name <> '${commandName}'`,
  );
  if (others.length === 0) return;
  throw new BackupFault(
    'a server or worker uses this database, or a pooler keeps its connection open; nothing was restored: stop them and run this again',
  );
}

function requireSameTables({ manifest }: Backup, tables: readonly TableColumns[]): void {
  const columnsOf = (all: readonly TableColumns[]) =>
    all.flatMap(({ name, columns }) => [name, ...columns.map((it) => `${name}.${it}`)]);
  const [stored, expected] = [columnsOf(manifest.tables), columnsOf(tables)];
  if (isSameSet(stored, expected)) return;
  const [different] = [...new Set(stored).symmetricDifference(new Set(expected))];
  throw new BackupFault(
    `the backup's tables are not those of its migrations (${different ?? 'one is twice'}): use another backup, or where the database has columns of your own, pg_dump`,
  );
}

/** Asked again under the locks: a server or another restore may have been faster. @returns false if that restored it. */
async function mayFill(client: PoolClient, backup: Backup, query: Query): Promise<boolean> {
  const { rows } = await client.query('select from duties where name = $1', [markerOf(backup)]);
  if (rows.length > 0) return false;
  await requireUnused(query);
  await requireNoServer(query);
  const applied = await query<{ name: string }>('select name::text from schema_migrations');
  const names = applied.map((it) => it.name);
  if (isSameSet(names, backup.manifest.migrations)) return true;
  throw new BackupFault(
    'a server has migrated the database meanwhile; nothing was restored: stop it and run this again',
  );
}

async function copyTable(client: PoolClient, backup: Backup, name: string, copying: Copying): Promise<void> {
  const table = backup.manifest.tables.find((it) => it.name === name);
  if (table === undefined) return;
  const target = copyIn(client, table);
  const { sha256 } = await copyHashed(readFileStream(tablePath(backup.dir, table)), target, copying);
  if (target.rowCount !== table.rows || sha256 !== table.sha256)
    throw new BackupFault(`the file of the table "${name}" has changed since the backup was made: use another backup`);
}
