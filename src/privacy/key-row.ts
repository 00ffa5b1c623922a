import { SealBroken, type SealingKey, seal, unseal } from './sealing.ts';

/** A row of `encryption_keys`: what the database stores about a key. */
export interface StoredKey {
  id: string;
  canary: Uint8Array;
  wrappedIndexKey: Uint8Array;
}

const canaryText = 'ruffinweb canary';

export function describeKey(key: SealingKey, indexKey: Uint8Array): StoredKey {
  return {
    id: key.id,
    canary: seal(Buffer.from(canaryText), placeOf('canary', key), key),
    wrappedIndexKey: seal(indexKey, placeOf('wrapped_index_key', key), key),
  };
}

/** Whether the row was written with this key. Without a canary, a wrong key would only fail at the first decryption. */
export function isKeyOf(row: Pick<StoredKey, 'canary'>, key: SealingKey): boolean {
  return openOrUndefined(row.canary, 'canary', key)?.toString('utf8') === canaryText;
}

export function unwrapIndexKey(row: StoredKey, key: SealingKey): Buffer | undefined {
  return openOrUndefined(row.wrappedIndexKey, 'wrapped_index_key', key);
}

function openOrUndefined(sealed: Uint8Array, column: string, key: SealingKey): Buffer | undefined {
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
