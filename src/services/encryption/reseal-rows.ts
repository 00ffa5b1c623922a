import type { EntityManager } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import { placesOf, type SealedTable, sealedTables } from '../../privacy/sealed-columns.ts';
import { SealBroken } from '../../privacy/sealing.ts';
import { beforeAllIds } from '../paging.ts';
import type { Scope } from '../scope.ts';

export interface Batch {
  resealed: number;
  /** Ids of rows with a value that cannot be decrypted. */
  unopened: string[];
}

/** A row's id and its encrypted values, in the order of the table's columns. */
interface SealedRow {
  id: string;
  values: (Buffer | null)[];
}

/** The table with a parameter for the encrypting key's prefix, and the condition that another key encrypted a value. */
function outdatedRows(table: SealedTable): string {
  const conditions = sealedTables[table].columns.map(
    (column) => `substring(${column} from 1 for octet_length(prefix)) <> prefix`,
  );
  return `from ${table}, (select ?::bytea as prefix) as newest where (${conditions.join(' or ')})`;
}

export async function countOutdated({ em, keyring }: Scope, table: SealedTable): Promise<number> {
  const [row] = await em.execute<{ count: number }[]>(`select count(*)::int as count ${outdatedRows(table)}`, [
    keyring.newestPrefix,
  ]);
  return row?.count ?? 0;
}

/** Few enough to lock them only for a moment, and to fit into memory whatever their length. */
const batchSize = 100;

/** Lower than every id. */
const beforeAll = { uuid: beforeAllIds, smallint: '0' };

/** Encrypts the table's outdated values with the encrypting key, batch by batch. Skips locked rows. */
export async function* resealTable({ em, keyring }: Scope, table: SealedTable): AsyncGenerator<Batch> {
  let after: string | undefined = beforeAll[sealedTables[table].idType];
  while (after !== undefined) {
    const begin: string = after;
    const { rows, batch } = await inTransaction(em, async (inside) => {
      const rows = await lockOutdated(inside, keyring, table, begin);
      return { rows, batch: await resealRows(inside, keyring, table, rows) };
    });
    if (rows.length > 0) yield batch;
    // A short batch is the last one: new values with an old key are left to the next round.
    after = rows.length < batchSize ? undefined : rows.at(-1)?.id;
  }
}

/** Locks the rows until the transaction ends, so that nobody changes them meanwhile. */
async function lockOutdated(
  em: EntityManager,
  keyring: Keyring,
  table: SealedTable,
  after: string,
): Promise<SealedRow[]> {
  const { columns, idType } = sealedTables[table];
  return await em.execute<SealedRow[]>(
    `select id::text, array[${columns.join(', ')}] as values ${outdatedRows(table)} and id > ?::${idType}
     order by ${table}.id limit ${batchSize} for no key update of ${table} skip locked`,
    [keyring.newestPrefix, after],
  );
}

async function resealRows(
  em: EntityManager,
  keyring: Keyring,
  table: SealedTable,
  rows: readonly SealedRow[],
): Promise<Batch> {
  const unopened: string[] = [];
  const resealed: SealedRow[] = [];
  for (const { id, values } of rows) {
    const renewed = resealRow(keyring, table, id, values);
    if (renewed === undefined) unopened.push(id);
    else resealed.push({ id, values: renewed });
  }
  if (resealed.length > 0) await writeRows(em, table, resealed);
  return { resealed: resealed.length, unopened };
}

async function writeRows(em: EntityManager, table: SealedTable, rows: readonly SealedRow[]): Promise<void> {
  const { columns, idType } = sealedTables[table];
  const row = `(?::${idType}${', ?::bytea'.repeat(columns.length)})`;
  await em.execute(
    `update ${table} set ${columns.map((it) => `${it} = given.${it}`).join(', ')}
     from (values ${rows.map(() => row).join(', ')}) as given (id, ${columns.join(', ')}) where ${table}.id = given.id`,
    rows.flatMap(({ id, values }) => [id, ...values]),
  );
}

/** @returns undefined if one of its values cannot be decrypted. */
function resealRow(
  keyring: Keyring,
  table: SealedTable,
  id: string,
  values: readonly (Buffer | null)[],
): (Buffer | null)[] | undefined {
  const newest = keyring.newestPrefix;
  try {
    return placesOf(table, id).map((place, index) => {
      const value = values[index] ?? null;
      if (value === null || value.subarray(0, newest.length).equals(newest)) return value;
      return keyring.seal(keyring.open(value, place), place);
    });
  } catch (error) {
    if (error instanceof SealBroken) return undefined;
    throw error;
  }
}
