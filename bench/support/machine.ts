import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbedded } from '../../src/database/embedded/embedded.ts';
import { migrateUp } from '../../src/database/migrate.ts';
import { commandPatience, openOrm } from '../../src/database/orm.ts';

/** What a part runs on: a temporary folder and a PostgreSQL server that waits for the disk at each commit. */
export interface Machine extends AsyncDisposable {
  readonly folder: string;
  /** One line for the results. */
  readonly describes: string;
  /** @returns the URL of a new database with the current schema, or without one if `empty`. */
  createDatabase(name: string, options?: { empty?: true }): Promise<string>;
}

export async function openMachine(): Promise<Machine> {
  await using opened = new AsyncDisposableStack();
  const folder = await mkdtemp(join(tmpdir(), 'ruffinweb-bench-'));
  opened.defer(() => rm(folder, { recursive: true, force: true }));
  const server = opened.use(await startEmbedded(join(folder, 'data')));
  const version = await requireDurability(server.url);
  const owned = opened.move();
  return {
    folder,
    describes: `${availableParallelism()} cores (${cpus()[0]?.model.trim()}), Node ${process.versions.node}, PostgreSQL ${version}`,
    async createDatabase(name, options = {}) {
      await query(server.url, `create database ${name}`);
      const url = new URL(server.url);
      url.pathname = `/${name}`;
      if (options.empty) return url.href;
      const orm = await openOrm(url.href, commandPatience);
      await migrateUp(orm);
      await orm.close();
      await raiseNotifyLimit(url.href);
      return url.href;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** One statement on a connection of its own. */
export async function query<Row extends pg.QueryResultRow>(url: string, text: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Each post queues a notification, and is counted. Does nothing where an older commit knows no such limit. */
export async function raiseNotifyLimit(url: string): Promise<void> {
  const columns = await query(url, `select from information_schema.columns where column_name = 'notify_limit'`);
  if (columns.length > 0) await query(url, 'update forms set notify_limit = 1000000');
}

/** Commits that may be lost would be faster, so the figures would not count. */
async function requireDurability(url: string): Promise<string> {
  const [row] = await query<{ fsync: string; commit: string; version: string }>(
    url,
    `select current_setting('fsync') as fsync, current_setting('synchronous_commit') as commit,
       split_part(current_setting('server_version'), ' ', 1) as version`,
  );
  if (row?.fsync !== 'on' || row.commit !== 'on')
    throw new Error('PostgreSQL does not wait for the disk: fsync and synchronous_commit must be on');
  return row.version;
}
