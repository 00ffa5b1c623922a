import { binaryArray } from './binary-array.ts';

type ColumnType = keyof typeof binaryArray;
type Value<Type extends ColumnType> = Parameters<(typeof binaryArray)[Type]>[0][number];
type Types = Readonly<Record<string, ColumnType>>;

/** An object with a value for each column. */
export type RowOf<Given> = Given extends Columns<infer T> ? { [Name in keyof T]: Value<T[Name]> } : never;

/** Rows as parameters of a statement: one array for each column. */
export interface Columns<T extends Types> {
  /**
   * The rows as a table for `from`: `unnest($1::uuid[], …) with ordinality as given (id, …, n)`, where `n` counts from 1.
   *
   * @param names only these columns, all by default. Fewer columns are cheaper.
   */
  as(alias: string, ...names: (keyof T & string)[]): string;
  /** The number of the parameter after these. */
  readonly next: number;
  /** One column as an array: `$1::uuid[]`. */
  array(name: keyof T & string): string;
  /** The parameters, in the order of the columns. */
  values(rows: readonly RowOf<Columns<T>>[]): Buffer[];
}

/** Names the columns once, for a statement's text and its values. @param first the first column's parameter number. */
export function columns<const T extends Types>(types: T, first = 1): Columns<T> {
  const names = Object.keys(types);
  const array = (name: string) => `$${first + names.indexOf(name)}::${types[name]}[]`;
  return {
    array,
    next: first + names.length,
    as(alias, ...only) {
      const used = only.length > 0 ? only : names;
      return `unnest(${used.map(array).join(', ')}) with ordinality as ${alias} (${[...used, 'n'].join(', ')})`;
    },
    values: (rows) =>
      names.map((name) => {
        // `RowOf` has checked that the values are of the column's type.
        const encode = binaryArray[types[name] as ColumnType] as (values: readonly unknown[]) => Buffer;
        return encode(rows.map((row) => row[name]));
      }),
  };
}
