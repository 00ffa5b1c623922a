import { binaryArray } from './binary-array.ts';

/** Each once, in one order for everybody, as a parameter. */
export function sortLocks(keys: readonly bigint[]): Buffer {
  return binaryArray.bigints([...new Set(keys)].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)));
}
