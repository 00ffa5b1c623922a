import { randomBytes } from 'node:crypto';
import { Keyring, sealingKey } from './keyring.ts';
import { SealBroken, type SealingKey, seal, unseal } from './sealing.ts';

/** A configured key: its id and 32 secret bytes. */
export interface ConfiguredKey {
  id: string;
  secret: Uint8Array;
}

/** What the database knows of a key. */
export interface StoredKey {
  id: string;
  canary: Uint8Array;
  wrappedIndexKey: Uint8Array;
}

/** The configured keys do not fit the database. Nothing has been written. */
export class KeysWrong extends Error {
  override readonly name = 'KeysWrong';
}

const canaryText = 'ruffinweb canary';

/**
 * Compares the configured keys with those the database was written with.
 *
 * @returns the ring, and the rows the database still lacks (all of them in a new database).
 * @throws {KeysWrong} where a key is another one than its id promises, or one in use is missing.
 */
export function checkKeys(
  configured: readonly ConfiguredKey[],
  stored: readonly StoredKey[],
): { keyring: Keyring; missing: StoredKey[] } {
  const keys = configured.map((key) => sealingKey(key.id, key.secret));
  const byId = new Map(keys.map((key) => [key.id, key]));

  let indexKey: Buffer | undefined;
  for (const row of stored) {
    const key = byId.get(row.id);
    if (key === undefined) {
      throw new KeysWrong(`the database holds values sealed with key "${row.id}", which ENCRYPTION_KEYS does not have`);
    }
    if (openOrNothing(row.canary, 'canary', key)?.toString('utf8') !== canaryText) {
      throw new KeysWrong(
        `key "${row.id}" in ENCRYPTION_KEYS is not the key of that name that the database was written with`,
      );
    }
    indexKey ??= openOrNothing(row.wrappedIndexKey, 'wrapped_index_key', key);
  }
  if (stored.length > 0 && indexKey === undefined)
    throw new KeysWrong('the blind index key does not open with any key');

  const usedIndexKey = indexKey ?? randomBytes(32);
  const known = new Set(stored.map((row) => row.id));
  const missing = keys.filter((key) => !known.has(key.id)).map((key) => describeKey(key, usedIndexKey));
  return { keyring: new Keyring(keys, usedIndexKey), missing };
}

function describeKey(key: SealingKey, indexKey: Uint8Array): StoredKey {
  return {
    id: key.id,
    canary: seal(Buffer.from(canaryText), placeOf('canary', key), key),
    wrappedIndexKey: seal(indexKey, placeOf('wrapped_index_key', key), key),
  };
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
