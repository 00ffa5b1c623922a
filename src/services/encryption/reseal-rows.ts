import { columns } from '../../database/columns.ts';
import { runStatement, type Statement } from '../../database/statement.ts';
import { nameStatement, placesOf, type SealedTable, sealedTables } from '../../privacy/sealed-columns.ts';
import { SealBroken } from '../../privacy/sealing.ts';
import { beforeAllIds } from '../paging.ts';
import type { Scope } from '../scope.ts';

/** A row's encrypted values, in the order of the table's columns. */
interface SealedRow {
  id: string;
  values: (Buffer | null)[];
}

export interface Batch {
  resealed: number;
  /** Rows that were locked or changed meanwhile. The next round finds them again. */
  skipped: number;
  /** Ids of rows with a value that cannot be decrypted. */
  unopened: string[];
}

/** SQL condition: a value of the row was encrypted with another key. `$1` is the prefix of the encrypting key. */
function isOutdated(table: SealedTable): string {
  return sealedTables[table].columns
    .map((column) => `(${column} is not null and substring(${column} from 1 for octet_length($1::bytea)) <> $1)`)
    .join(' or ');
}

export async function countOutdated({ em, keyring }: Scope, table: SealedTable): Promise<number> {
  const text = `select count(*)::int as count from ${table} where ${isOutdated(table)}`;
  const [row] = await runStatement<{ count: number }>(em, { name: nameStatement('count_outdated', table), text }, [
    keyring.newestPrefix,
  ]);
  return row?.count ?? 0;
}

/** Few enough to lock them only for a moment, and to fit into memory whatever their length. */
const batchSize = 100;

/** Lower than every id. (`$2 is null or id > $2` would prevent the use of the index.) */
const beforeAll = { uuid: beforeAllIds, smallint: '0' };

/** Encrypts the table's outdated values with the encrypting key: one pass, batch by batch. */
export async function* resealTable(scope: Scope, table: SealedTable): AsyncGenerator<Batch> {
  for (let after = beforeAll[sealedTables[table].idType]; ; ) {
    const rows = await findOutdated(scope, table, after);
    const last = rows.at(-1);
    if (last === undefined) return;
    after = last.id;
    yield await resealBatch(scope, table, rows);
    // New values with an old key are left to the next round; otherwise this one might never end.
    if (rows.length < batchSize) return;
  }
}

async function findOutdated({ em, keyring }: Scope, table: SealedTable, after: string): Promise<SealedRow[]> {
  const { columns, idType } = sealedTables[table];
  const statement: Statement = {
    name: nameStatement('find_outdated', table),
    text: `
select id::text, array[${columns.join(', ')}] as values from ${table}
where id > $2::${idType} and (${isOutdated(table)})
order by ${table}.id limit ${batchSize}`,
  };
  return await runStatement<SealedRow>(em, statement, [keyring.newestPrefix, after]);
}

/** A row's id, and each sealed column as it was read and as it is to be written. */
function changesOf(table: SealedTable) {
  const names = sealedTables[table].columns.flatMap((it) => [`old_${it}`, `new_${it}`]);
  return columns<Record<string, 'text' | 'bytea'>>({
    row_id: 'text',
    ...Object.fromEntries(names.map((it) => [it, 'bytea' as const])),
  });
}

/**
 * Writes a row only if it is unchanged since it was read (compare and set), so that it overwrites nothing, and only if it
 * is not locked, so that it is never part of a deadlock.
 */
function replaceStatement(table: SealedTable): Statement {
  const each = (write: (column: string) => string, between: string) =>
    sealedTables[table].columns.map(write).join(between);
  return {
    name: nameStatement('reseal_2', table),
    text: `
with given as materialized (
  select row_id::${sealedTables[table].idType} as id, given.* from ${changesOf(table).as('given')}
),
free as materialized (
  select id from ${table} where id in (select id from given) for no key update skip locked
)
update ${table} as stored set ${each((it) => `${it} = given.new_${it}`, ', ')}
from given join free using (id)
where stored.id = given.id and ${each((it) => `stored.${it} is not distinct from given.old_${it}`, ' and ')}
returning stored.id`,
  };
}

async function resealBatch(scope: Scope, table: SealedTable, rows: readonly SealedRow[]): Promise<Batch> {
  const unopened: string[] = [];
  const changes: Record<string, string | Buffer | null>[] = [];
  for (const { id, values } of rows) {
    const after = resealRow(scope, table, id, values);
    if (after === undefined) unopened.push(id);
    else changes.push(changeOf(table, id, values, after));
  }
  if (changes.length === 0) return { resealed: 0, skipped: 0, unopened };
  const written = await runStatement(scope.em, replaceStatement(table), changesOf(table).values(changes));
  return { resealed: written.length, skipped: changes.length - written.length, unopened };
}

function changeOf(table: SealedTable, id: string, before: (Buffer | null)[], after: (Buffer | null)[]) {
  const change: Record<string, string | Buffer | null> = { row_id: id };
  for (const [index, column] of sealedTables[table].columns.entries()) {
    change[`old_${column}`] = before[index] ?? null;
    change[`new_${column}`] = after[index] ?? null;
  }
  return change;
}

/** @returns undefined if one of its values cannot be decrypted. */
function resealRow(
  { keyring }: Scope,
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
