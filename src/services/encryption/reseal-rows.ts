import { columns } from '../../database/columns.ts';
import { type Ask, runTogether } from '../../database/statement.ts';
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

/** The table, and the condition that another key encrypted a value. @param prefix SQL: the encrypting key's prefix. */
function outdatedRows(table: SealedTable, prefix: string): string {
  const conditions = sealedTables[table].columns.map(
    (column) => `substring(${column} from 1 for octet_length(prefix)) <> prefix`,
  );
  return `from ${table}, (select ${prefix}::bytea as prefix) as newest where (${conditions.join(' or ')})`;
}

export async function countOutdated({ em, keyring }: Scope, table: SealedTable): Promise<number> {
  const [row] = await em.execute<{ count: number }[]>(`select count(*)::int as count ${outdatedRows(table, '?')}`, [
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
    const { rows, batch } = await runTogether(em, async (ask) => {
      const rows = await lockOutdated(ask, keyring, table, begin);
      return { rows, batch: await resealRows(ask, keyring, table, rows) };
    });
    if (rows.length > 0) yield batch;
    // A short batch is the last one: new values with an old key are left to the next round.
    after = rows.length < batchSize ? undefined : rows.at(-1)?.id;
  }
}

/** Locks the rows until the transaction ends, so that nobody changes them meanwhile. */
async function lockOutdated(ask: Ask, keyring: Keyring, table: SealedTable, after: string): Promise<SealedRow[]> {
  const { columns: names, idType } = sealedTables[table];
  const text = `select id::text, array[${names.join(', ')}] as values ${outdatedRows(table, '$1')}
    and id > $2::${idType} order by ${table}.id limit ${batchSize} for no key update of ${table} skip locked`;
  return await ask<SealedRow>({ name: `outdated_${table}`, text }, [keyring.newestPrefix, after]);
}

async function resealRows(ask: Ask, keyring: Keyring, table: SealedTable, rows: readonly SealedRow[]): Promise<Batch> {
  const unopened: string[] = [];
  const resealed: SealedRow[] = [];
  for (const { id, values } of rows) {
    const renewed = resealRow(keyring, table, id, values);
    if (renewed === undefined) unopened.push(id);
    else resealed.push({ id, values: renewed });
  }
  if (resealed.length > 0) await writeRows(ask, table, resealed);
  return { resealed: resealed.length, unopened };
}

async function writeRows(ask: Ask, table: SealedTable, rows: readonly SealedRow[]): Promise<void> {
  const { columns: names, idType } = sealedTables[table];
  const given = columns({
    id: 'text',
    ...(Object.fromEntries(names.map((it) => [it, 'bytea'])) as Record<string, 'bytea'>),
  });
  const text = `update ${table} set ${names.map((it) => `${it} = given.${it}`).join(', ')}
    from ${given.as('given')} where ${table}.id = given.id::${idType}`;
  const asObjects = rows.map(({ id, values }) => ({
    id,
    ...Object.fromEntries(names.map((it, n) => [it, values[n] ?? null])),
  }));
  await ask({ name: `reseal_rows_${table}`, text }, given.values(asObjects));
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
