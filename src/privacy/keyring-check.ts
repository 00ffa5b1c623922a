import { randomBytes } from 'node:crypto';
import { isKeyOf, type StoredKey, unwrapIndexKey } from './key-row.ts';
import { Keyring, sealingKey } from './keyring.ts';

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
 * Compares the configured keys with the database's rows.
 *
 * @returns `newRow`: the first key's row, if the database lacks it. `missing`: ids of stored keys that are not configured.
 * @throws {KeysWrong} if a configured key differs from the stored one with the same id, or none opens the index key.
 */
export function checkKeys(
  configured: readonly ConfiguredKey[],
  stored: readonly StoredKey[],
): { keyring: Keyring; newRow: StoredKey | undefined; missing: string[] } {
  const keys = configured.map((key) => sealingKey(key.id, key.secret));
  const missing: string[] = [];
  let indexKey: Buffer | undefined;
  for (const row of stored) {
    const key = keys.find((it) => it.id === row.id);
    if (key === undefined) {
      missing.push(row.id);
      continue;
    }
    if (!isKeyOf(row, key)) {
      throw new KeysWrong(
        `key "${row.id}" in ENCRYPTION_KEYS is not the key "${row.id}" that this database was written with: put the right one back`,
      );
    }
    indexKey ??= unwrapIndexKey(row, key);
  }
  if (stored.length > 0 && indexKey === undefined) {
    const ids = stored.map((it) => `"${it.id}"`).join(' or ');
    throw new KeysWrong(`no key in ENCRYPTION_KEYS opens this database: put back key ${ids}`);
  }
  const keyring = new Keyring(keys, indexKey ?? randomBytes(32));
  const isNew = !stored.some((it) => it.id === keyring.newestId);
  return { keyring, newRow: isNew ? keyring.describeNewest() : undefined, missing };
}
