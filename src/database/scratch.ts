import { randomBytes } from 'node:crypto';
import type { EntityManager } from '@mikro-orm/postgresql';
import { quoteName } from './copy.ts';

export interface Scratch extends AsyncDisposable {
  /** Secret: it contains the password. */
  url: string;
  /** The first statement to run in it: our user's search path may name a schema that a new database lacks. */
  prepare: string;
}

/**
 * Creates an empty database beside ours, which is dropped at the end, and drops the databases that killed runs left. The caller
 * holds a lock, so no other process uses one. Their names contain the number of our database: other installations on
 * the same server have others.
 */
export async function createScratch(em: EntityManager, url: string): Promise<Scratch> {
  const [own] = await em.execute<{ oid: string; options: string; prepare: string }[]>(
    `select oid::text, format('template template0 encoding %L lc_collate %L lc_ctype %L',
       pg_encoding_to_char(encoding), datcollate, datctype) as options,
       format('create schema if not exists %I', coalesce(current_schema(), 'public')) as prepare
     from pg_database where datname = current_database()`,
  );
  const prefix = `ruffinweb_verify_${own?.oid}_`;
  const left = await em.execute<{ name: string }[]>(
    'select datname as name from pg_database where starts_with(datname, ?)',
    [prefix],
  );
  for (const { name } of left) await drop(em, name);
  const name = prefix + randomBytes(4).toString('hex');
  await em.execute(`create database ${name} ${own?.options}`);
  const address = new URL(url);
  address.pathname = `/${name}`;
  const prepare = own?.prepare ?? '';
  return { url: address.href, prepare, [Symbol.asyncDispose]: () => drop(em, name) };
}

async function drop(em: EntityManager, name: string): Promise<void> {
  await em.execute(`drop database if exists ${quoteName(name)} with (force)`);
}
