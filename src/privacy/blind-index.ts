import { createHmac, createSecretKey, hkdfSync } from 'node:crypto';

/**
 * A keyed hash for looking values up that are stored sealed (blind index: CipherSweet, "Blind Indexing").
 * Each purpose has a key of its own, so that equal values in two columns do not show as equal.
 *
 * @returns HMAC-SHA-256, 32 bytes.
 */
export function createBlindIndex(indexKey: Uint8Array, purpose: string): (value: string) => Buffer {
  const key = createSecretKey(new Uint8Array(hkdfSync('sha256', indexKey, '', `ruffinweb index ${purpose}`, 32)));
  return (value) => createHmac('sha256', key).update(value, 'utf8').digest();
}
