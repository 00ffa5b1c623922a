/** Whole tables as streams, in PostgreSQL's binary COPY format, which is the same from version 15 on. */

import type { Readable, Writable } from 'node:stream';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Client, Pool, PoolClient } from 'pg';
import { from, to } from 'pg-copy-streams';
import type { Orm } from './orm.ts';
import { cutConnection } from './orm-repairs.ts';

export interface TableColumns {
  name: string;
  columns: string[];
}

/** Runs `work` in one transaction that no timeout ends. An error cuts the connection, also in the middle of a copy. */
export async function inLongTransaction<Result>(
  em: EntityManager,
  begin: string,
  work: (client: PoolClient) => Promise<Result>,
): Promise<Result> {
  const pool: Pool = await em.getConnection().getNativeClient();
  const client = await pool.connect();
  // Without a listener, losing the connection between two statements would end the process.
  const ignore = () => {};
  client.on('error', ignore);
  let isDone = false;
  try {
    // `transaction_timeout` exists from PostgreSQL 17 on. Read before `begin`, since reading takes the snapshot.
    const { rows: limits } = await client.query<{ name: string }>(
      `select name from pg_settings where name in
         ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`,
    );
    await client.query(begin);
    for (const { name } of limits) await client.query(`set local ${name} = 0`);
    const result = await work(client);
    await client.query('commit');
    isDone = true;
    return result;
  } finally {
    // PostgreSQL rolls back. pg's types hide that a pooled client is a client.
    if (!isDone) cutConnection(client as unknown as Client);
    client.off('error', ignore);
    client.release(!isDone);
  }
}

/** Every table of this release, whether or not the database has it. */
export function ownTables(orm: Orm): string[] {
  return [...orm.getMetadata().getAll().values()].map((it) => it.tableName);
}

/** Those of our tables that the database has, referenced tables first, and their columns. */
export async function readTables(client: PoolClient, names: readonly string[]): Promise<TableColumns[]> {
  const { rows } = await client.query<TableColumns & { parents: string[] }>(
    `select relname::text as name,
       array(select attname::text from pg_attribute
         where attrelid = found.oid and attnum > 0 and not attisdropped and attgenerated = '' order by attnum) as columns,
       array(select parent.relname::text from pg_constraint join pg_class parent on parent.oid = confrelid
         where conrelid = found.oid and contype = 'f' and confrelid <> conrelid) as parents
     from pg_class found where oid in (select to_regclass(quote_ident(name)) from unnest($1::text[]) as given (name))
     order by relname`,
    [names],
  );
  const sorted: TableColumns[] = [];
  while (sorted.length < rows.length) {
    const isSorted = (name: string) => sorted.some((it) => it.name === name);
    const next = rows.find((it) => !isSorted(it.name) && it.parents.every(isSorted));
    if (next === undefined) throw new Error('the foreign keys of the tables form a circle');
    sorted.push({ name: next.name, columns: next.columns });
  }
  return sorted;
}

export type CopyStream = { readonly rowCount: number };

export function copyOut(client: PoolClient, table: TableColumns): Readable & CopyStream {
  return client.query(to(`copy ${columnList(table)} to stdout (format binary)`));
}

export function copyIn(client: PoolClient, table: TableColumns): Writable & CopyStream {
  return client.query(from(`copy ${columnList(table)} from stdin (format binary)`));
}

export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

function columnList({ name, columns }: TableColumns): string {
  return `${quoteName(name)} (${columns.map(quoteName).join(', ')})`;
}
