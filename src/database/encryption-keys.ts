import type { EntityManager } from '@mikro-orm/postgresql';
import type { StoredKey } from '../privacy/key-row.ts';
import type { Keyring } from '../privacy/keyring.ts';
import { type ConfiguredKey, checkKeys, KeysWrong } from '../privacy/keyring-check.ts';
import { type SealedTable, sealedTableNames, sealedTables } from '../privacy/sealed-columns.ts';
import { prefixOf } from '../privacy/sealing.ts';
import { inTransaction } from './statement.ts';

/** Lets one process at a time change keys, so that two simultaneous first starts end with the same index key. */
const keyLock = 7_226_944;

export async function readStoredKeys(em: EntityManager): Promise<(StoredKey & { createdAt: Date })[]> {
  const rows = await em.execute<(StoredKey & { at: string })[]>(
    'select id, canary, wrapped_index_key as "wrappedIndexKey", created_at as at from encryption_keys order by at desc, id desc',
  );
  return rows.map(({ at, ...row }) => ({ ...row, createdAt: new Date(at) }));
}

/**
 * Compares the configured keys with the stored ones. Writes nothing.
 *
 * @throws {KeysWrong} also if a stored key is not configured and rows need it.
 */
export async function checkStoredKeys(em: EntityManager, configured: readonly ConfiguredKey[]) {
  const checked = checkKeys(configured, await readStoredKeys(em));
  for (const id of checked.missing) {
    const rows = await countRowsOfKey(em, id);
    if (rows === 0) continue;
    throw new KeysWrong(
      `${rows} ${rows === 1 ? 'row needs' : 'rows need'} key "${id}", which ENCRYPTION_KEYS does not have: put it back`,
    );
  }
  return checked;
}

/** The tables with encrypted values that this database has: an older schema lacks some. */
export async function readSealedTables(em: EntityManager): Promise<SealedTable[]> {
  const rows = await em.execute<{ name: SealedTable }[]>(
    `select name from unnest('{${sealedTableNames}}'::text[]) as given (name) where to_regclass(name) is not null`,
  );
  return rows.map((it) => it.name);
}

/**
 * SQL: a table's ids, times and encrypted values, to read from. A column that an older schema does not have yet is null: then
 * its name means the one of `absent`.
 */
export function sealedRows(table: SealedTable): string {
  const { columns, sealedAt } = sealedTables[table];
  const absent = columns.map((it) => `null::bytea as ${it}`).join(', ');
  return `(select sealed.* from (select ${absent}) as absent,
    lateral (select id, ${sealedAt}, ${columns.join(', ')} from ${table}) as sealed) as ${table}`;
}

/** @returns the number of rows with a value that this key encrypted. */
export async function countRowsOfKey(em: EntityManager, id: string): Promise<number> {
  const prefix = prefixOf(id);
  const counts = (await readSealedTables(em)).map((table) => {
    const needs = sealedTables[table].columns.map(
      (it) => `substring(${it} from 1 for ${prefix.length}) = given.prefix`,
    );
    return `(select count(*) from ${sealedRows(table)} where ${needs.join(' or ')})`;
  });
  const [row] = await em.execute<{ count: number }[]>(
    `select (${counts.join(' + ')})::int as count from (select ?::bytea as prefix) as given`,
    [prefix],
  );
  return row?.count ?? 0;
}

/** Checks the configured keys and stores a row for the first one. @throws {KeysWrong} without writing anything. */
export async function loadKeyring(em: EntityManager, configured: readonly ConfiguredKey[]): Promise<Keyring> {
  const { keyring, newRow } = await checkStoredKeys(em.fork(), configured);
  if (newRow === undefined) return keyring;
  return await changeKeys(em, async (locked) => {
    const checked = await checkStoredKeys(locked, configured);
    if (checked.newRow !== undefined) await insertKey(locked, checked.newRow);
    return checked.keyring;
  });
}

/** The same check before a migration, when the tables may not exist yet. Writes nothing. @throws {KeysWrong} */
export async function requireFitKeys(em: EntityManager, configured: readonly ConfiguredKey[]): Promise<void> {
  const [found] = await em.execute<{ exists: boolean }[]>(
    `select to_regclass('encryption_keys') is not null as exists`,
  );
  if (found?.exists !== true || !(await hasStoredKeys(em))) return;
  await checkStoredKeys(em, configured);
}

/** Whether this database may contain encrypted values. */
export async function hasStoredKeys(em: EntityManager): Promise<boolean> {
  return (await readStoredKeys(em)).length > 0;
}

/**
 * Deletes a key's row unless a value needs the key. From then on, programs start without that key.
 *
 * @param sealing the row of the encrypting key. It is inserted if another rotation has deleted it, because without any
 *   row the index key would be lost.
 * @returns the number of rows that still need the key; 0 if it was deleted.
 */
export async function deleteUnneededKey(em: EntityManager, id: string, sealing: StoredKey): Promise<number> {
  return await changeKeys(em, async (locked) => {
    await insertKey(locked, sealing);
    const rows = await countRowsOfKey(locked, id);
    if (rows === 0) await locked.execute('delete from encryption_keys where id = ? and id <> ?', [id, sealing.id]);
    return rows;
  });
}

async function insertKey(locked: EntityManager, row: StoredKey): Promise<void> {
  await locked.execute(
    'insert into encryption_keys (id, canary, wrapped_index_key) values (?, ?, ?) on conflict (id) do nothing',
    [row.id, Buffer.from(row.canary), Buffer.from(row.wrappedIndexKey)],
  );
}

async function changeKeys<T>(em: EntityManager, change: (locked: EntityManager) => Promise<T>): Promise<T> {
  return await inTransaction(em, async (locked) => {
    await locked.execute(`select pg_advisory_xact_lock(${keyLock})`);
    return await change(locked);
  });
}
