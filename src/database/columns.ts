import { binaryArray } from './binary-array.ts';

/** For each type of a column, how an array of its values is sent. */
const encoders = {
  uuid: binaryArray.uuids,
  bytea: binaryArray.bytes,
  text: binaryArray.texts,
  bool: binaryArray.booleans,
  int: binaryArray.integers,
  float8: binaryArray.floats,
} as const;

type ColumnType = keyof typeof encoders;
type Value<Type extends ColumnType> = Parameters<(typeof encoders)[Type]>[0][number];
type Types = Readonly<Record<string, ColumnType>>;

/** An object that has a value for each of the columns; it may have others too. */
export type RowOf<Given> = Given extends Columns<infer T> ? { [Name in keyof T]: Value<T[Name]> } : never;

/** The rows that a statement is given: one array parameter for each column. */
export interface Columns<T extends Types> {
  /**
   * The rows as a table for `from`: `unnest($1::uuid[], …) with ordinality as given (id, …, n)`, where `n` counts from 1.
   *
   * @param names only these columns; all of them by default. A step that takes fewer columns is cheaper to run.
   */
  as(alias: string, ...names: (keyof T & string)[]): string;
  /** The number of the parameter that follows. */
  readonly next: number;
  /** One column as an array: `$1::uuid[]`. */
  array(name: keyof T & string): string;
  /** The parameters, in the order of the columns. */
  values(rows: readonly RowOf<Columns<T>>[]): Buffer[];
}

/**
 * Names the columns of the rows that a statement takes, once for its text and its values.
 *
 * @param first the number of the first column's parameter.
 */
export function columns<const T extends Types>(types: T, first = 1): Columns<T> {
  const names = Object.keys(types);
  const array = (name: string) => `$${first + names.indexOf(name)}::${types[name]}[]`;
  return {
    array,
    next: first + names.length,
    as(alias, ...only) {
      const taken = only.length > 0 ? only : names;
      return `unnest(${taken.map(array).join(', ')}) with ordinality as ${alias} (${[...taken, 'n'].join(', ')})`;
    },
    values: (rows) =>
      names.map((name) =>
        encode(
          types[name] as ColumnType,
          rows.map((row) => row[name]),
        ),
      ),
  };
}

/** `RowOf` has checked that the values are of the column's type. */
function encode(type: ColumnType, values: readonly unknown[]): Buffer {
  return (encoders[type] as (values: readonly unknown[]) => Buffer)(values);
}
