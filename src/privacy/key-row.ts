import { SealBroken, type SealingKey, seal, unseal } from './sealing.ts';

/** What the database knows of a key. */
export interface StoredKey {
  id: string;
  canary: Uint8Array;
  wrappedIndexKey: Uint8Array;
}

/** What it still knows of a key that sealed nothing any more when it was retired. */
export type RetiredKey = Pick<StoredKey, 'id' | 'canary'>;

const canaryText = 'ruffinweb canary';

export function describeKey(key: SealingKey, indexKey: Uint8Array): StoredKey {
  return {
    id: key.id,
    canary: seal(Buffer.from(canaryText), placeOf('canary', key), key),
    wrappedIndexKey: seal(indexKey, placeOf('wrapped_index_key', key), key),
  };
}

/** Whether this is the key that the row was made with. */
export function isKeyOf(row: RetiredKey, key: SealingKey): boolean {
  return openOrNothing(row.canary, 'canary', key)?.toString('utf8') === canaryText;
}

export function unwrapIndexKey(row: StoredKey, key: SealingKey): Buffer | undefined {
  return openOrNothing(row.wrappedIndexKey, 'wrapped_index_key', key);
}

function openOrNothing(sealed: Uint8Array, column: string, key: SealingKey): Buffer | undefined {
  try {
    return unseal(sealed, placeOf(column, key), key);
  } catch (error) {
    if (error instanceof SealBroken) return undefined;
    throw error;
  }
}

function placeOf(column: string, key: SealingKey) {
  return { table: 'encryption_keys', column, row: key.id };
}
