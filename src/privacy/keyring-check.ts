import { randomBytes } from 'node:crypto';
import { describeKey, isKeyOf, type RetiredKey, type StoredKey, unwrapIndexKey } from './key-row.ts';
import { Keyring, sealingKey } from './keyring.ts';
import type { SealingKey } from './sealing.ts';

/** A configured key: its id and 32 secret bytes. */
export interface ConfiguredKey {
  id: string;
  secret: Uint8Array;
}

/** The configured keys do not fit the database. Nothing has been written. */
export class KeysWrong extends Error {
  override readonly name = 'KeysWrong';
}

/**
 * Compares the configured keys with those the database was written with.
 *
 * @param retired keys that need not be there; where one is, it must be the right one.
 * @returns the ring, and the rows the database still lacks (all of them in a new database).
 * @throws {KeysWrong} where a key is another one than its id promises, or one in use is missing.
 */
export function checkKeys(
  configured: readonly ConfiguredKey[],
  stored: readonly StoredKey[],
  retired: readonly RetiredKey[] = [],
): { keyring: Keyring; missing: StoredKey[] } {
  const keys = configured.map((key) => sealingKey(key.id, key.secret));
  const byId = new Map(keys.map((key) => [key.id, key]));

  let indexKey: Buffer | undefined;
  for (const row of stored) {
    const key = byId.get(row.id);
    if (key === undefined) {
      throw new KeysWrong(
        `the database holds values sealed with key "${row.id}", which ENCRYPTION_KEYS does not have: put it back ("ruffinweb encryption status" shows what needs it)`,
      );
    }
    requireRightKey(row, key);
    indexKey ??= unwrapIndexKey(row, key);
  }
  if (stored.length > 0 && indexKey === undefined)
    throw new KeysWrong('the blind index key does not open with any key');
  for (const row of retired) {
    const key = byId.get(row.id);
    if (key !== undefined) requireRightKey(row, key);
  }

  const usedIndexKey = indexKey ?? randomBytes(32);
  const known = new Set(stored.map((row) => row.id));
  // A retired key that only opens stays retired; one that seals is in use again.
  const resting = new Set(retired.map((row) => row.id));
  const missing = keys
    .filter((key, index) => !known.has(key.id) && (index === 0 || !resting.has(key.id)))
    .map((key) => describeKey(key, usedIndexKey));
  return { keyring: new Keyring(keys, usedIndexKey), missing };
}

/** Without a canary that opens, a typo in a key would only show when something it sealed is needed. */
function requireRightKey(row: RetiredKey, key: SealingKey): void {
  if (isKeyOf(row, key)) return;
  throw new KeysWrong(
    `key "${row.id}" in ENCRYPTION_KEYS is not the key of that name that the database was written with`,
  );
}
