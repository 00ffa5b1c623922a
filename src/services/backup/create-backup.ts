import { randomBytes } from 'node:crypto';
import { lstat, mkdir, open, readdir, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import type { PoolClient } from 'pg';
import type { DatabaseContext } from '../../context.ts';
import {
  copyOut,
  inLongTransaction,
  ownTables,
  quoteName,
  readTables,
  type TableColumns,
} from '../../database/copy.ts';
import { readSchemaStatus } from '../../database/migrate.ts';
import type { Orm } from '../../database/orm.ts';
import { sealedTableNames } from '../../privacy/sealed-columns.ts';
import { countStatement } from '../encryption/encryption-status.ts';
import { refuseNewerSchema } from './fit-backup.ts';
import { BackupFault, filePath, type Manifest, manifestFile, manifestFormat, tablePath } from './manifest.ts';
import { type Copying, copyHashed, readFileStream, writeFileStream } from './stream-files.ts';

export interface CreateRequest extends Copying {
  dir: string;
  /** The release that makes it. */
  program: string;
  /** Files with keys: a copy of the folder of backups must not contain one. */
  keyFiles: readonly string[];
}

export interface Created {
  dir: string;
  manifest: Manifest;
  /** Unfinished folders that killed runs left beside it, or that another run is writing. */
  unfinished: string[];
}

/**
 * Writes a backup of the database, the erasure log and the templates. The folder appears under its name only when it is
 * complete and on the disk. It works while servers run, and on a standby.
 *
 * @throws {BackupFault}
 */
export async function createBackup(base: DatabaseContext, request: CreateRequest): Promise<Created> {
  const dir = resolve(request.dir);
  await requireUsable(dir, request.keyFiles);
  const draft = `${dir}.part-${randomBytes(4).toString('hex')}`;
  try {
    await mkdir(draft, { mode: 0o700 });
    const manifest = await writeBackup(base, draft, request);
    await rename(draft, dir).catch((error: NodeJS.ErrnoException) => {
      if (!['ENOTEMPTY', 'EEXIST', 'ENOTDIR'].includes(error.code ?? '')) throw error;
      throw alreadyThere(dir);
    });
    await syncFolder(dirname(dir));
    return { dir, manifest, unfinished: await listUnfinished(dirname(dir)) };
  } catch (error) {
    throw explainPlace(error as NodeJS.ErrnoException, dirname(dir));
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

async function requireUsable(dir: string, keyFiles: readonly string[]): Promise<void> {
  const parent = await realpath(dirname(dir)).catch(() => undefined);
  if (parent === undefined) throw new BackupFault(`the folder ${dirname(dir)} does not exist: create it first`);
  if ((await lstat(dir).catch(() => undefined)) !== undefined) throw alreadyThere(dir);
  for (const file of keyFiles) {
    const target = await realpath(file).catch(orMissing);
    if (target === undefined) continue;
    // A key file may be a link: neither its own folder nor that of its target may be copied with the backups.
    for (const folder of [await realpath(dirname(file)), dirname(target)]) {
      if (relative(folder, parent).split('/')[0] === '..') continue;
      throw new BackupFault(
        `${dir} would be in ${folder}, which holds the keys (${basename(file)}): choose a folder elsewhere, since a backup beside its keys gives away every message`,
      );
    }
  }
}

/** Names the folder, as an error about space does not. */
function explainPlace(error: NodeJS.ErrnoException, parent: string): Error {
  if (error.syscall !== 'mkdir' && !['ENOSPC', 'EDQUOT'].includes(error.code ?? '')) return error;
  const user = process.getuid?.();
  return new BackupFault(`user id ${user} cannot write in ${parent} (${error.message}): choose another folder`);
}

function alreadyThere(dir: string): BackupFault {
  return new BackupFault(`${dir} exists already: name a new folder, one for each backup`);
}

async function writeBackup(base: DatabaseContext, draft: string, request: CreateRequest): Promise<Manifest> {
  for (const folder of ['tables', 'files', 'files/templates']) await mkdir(join(draft, folder), { mode: 0o700 });
  if ((await readSchemaStatus(base.orm.em.fork())).applied.length === 0)
    throw new BackupFault('the database has no schema yet: there is nothing to back up');
  const rows = await writeTables(base, draft, request);
  // After the snapshot: an erasure that the tables lack is in the log.
  const files = await writeFiles(base.config.dataDir, draft, request);
  const manifest: Manifest = { format: manifestFormat, program: request.program, ...rows, files };
  await writeFile(join(draft, manifestFile), `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600, flush: true });
  for (const folder of ['tables', 'files/templates', 'files', '.']) await syncFolder(join(draft, folder));
  return manifest;
}

type RowParts = Pick<Manifest, 'postgresql' | 'snapshotAt' | 'migrations' | 'keys' | 'tables'>;

async function writeTables({ orm }: DatabaseContext, draft: string, request: CreateRequest): Promise<RowParts> {
  const begin = 'begin isolation level repeatable read, read only';
  // Locked before the first query takes the snapshot: a migration in between would make tables look empty.
  const names = await inLongTransaction(orm.em, 'begin read only', async (client) =>
    (await readTables(client, ownTables(orm))).map((it) => it.name),
  );
  return await inLongTransaction(orm.em, begin, async (client) => {
    await client.query(`lock table ${names.map(quoteName).join(', ')} in access share mode`);
    // Again, since a migration may have added a table before the lock.
    const tables = await readTables(client, ownTables(orm));
    const about = await describeSnapshot(client, tables);
    refuseOwnColumns(orm, tables);
    const written: Manifest['tables'] = [];
    for (const table of tables) {
      const source = copyOut(client, table);
      const content = await copyHashed(source, writeFileStream(tablePath(draft, table)), request);
      written.push({ ...table, rows: source.rowCount, ...content });
    }
    return { ...about, tables: written };
  });
}

/** A restore could not place them. */
function refuseOwnColumns(orm: Orm, tables: readonly TableColumns[]): void {
  const entities = [...orm.getMetadata().getAll().values()];
  const ours = entities.flatMap((it) => it.props.flatMap(({ fieldNames }) => nameColumns(it.tableName, fieldNames)));
  const other = tables.flatMap((it) => nameColumns(it.name, it.columns)).find((it) => !ours.includes(it));
  if (other === undefined) return;
  throw new BackupFault(`no restore could fill ${other}, which is a column of your own: use pg_dump, or drop it`);
}

const nameColumns = (table: string, columns: readonly string[] = []) => columns.map((it) => `${table}.${it}`);

async function describeSnapshot(
  client: PoolClient,
  tables: readonly TableColumns[],
): Promise<Omit<RowParts, 'tables'>> {
  const { rows } = await client.query<{ postgresql: string; at: string; migrations: string[] }>(
    `select current_setting('server_version') as postgresql, now()::text as at,
       array(select name::text from schema_migrations order by id) as migrations`,
  );
  const [{ postgresql, at, migrations } = { postgresql: '', at: '', migrations: [] }] = rows;
  refuseNewerSchema(migrations);
  const stored = await client.query<{ id: string; canary: Buffer }>(
    'select id, canary from encryption_keys order by id',
  );
  const counts = new Map<string, number>(stored.rows.map((it) => [it.id, 0]));
  for (const table of sealedTableNames.filter((it) => tables.some(({ name }) => name === it))) {
    const { rows: used } = await client.query<{ key: string | null; count: number }>(countStatement(table));
    for (const { key, count } of used) if (key !== null) counts.set(key, (counts.get(key) ?? 0) + count);
  }
  const keys = [...counts].map(([id, count]) => {
    const canary = stored.rows.find((it) => it.id === id)?.canary.toString('base64') ?? null;
    return { id, rows: count, canary };
  });
  return { postgresql, snapshotAt: new Date(at).toISOString(), migrations, keys };
}

async function writeFiles(dataDir: string, draft: string, request: CreateRequest): Promise<Manifest['files']> {
  const templates = await readdir(join(dataDir, 'templates')).catch(orMissing);
  const written: Manifest['files'] = [];
  for (const name of ['erasures.jsonl', ...(templates ?? []).map((it) => `templates/${it}`)]) {
    const from = join(dataDir, name);
    const found = await stat(from).catch(orMissing);
    if (found === undefined || !found.isFile()) continue;
    const content = await copyHashed(readFileStream(from), writeFileStream(filePath(draft, { name })), request);
    written.push({ name, ...content });
  }
  return written;
}

function orMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}

async function listUnfinished(parent: string): Promise<string[]> {
  const names = await readdir(parent);
  return names.filter((it) => /\.part-[0-9a-f]{8}$/.test(it)).map((it) => join(parent, it));
}

async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}
