import { createHmac, createSecretKey, hkdfSync } from 'node:crypto';

/**
 * A keyed hash that lets us look up values which are stored sealed (blind index: CipherSweet, "Blind Indexing").
 * Each purpose has its own key, so that equal values in two columns cannot be recognised as equal.
 *
 * @returns HMAC-SHA-256 (RFC 2104), 32 bytes.
 */
export function createBlindIndex(indexKey: Uint8Array, purpose: string): (value: string) => Buffer {
  const key = createSecretKey(new Uint8Array(hkdfSync('sha256', indexKey, '', `ruffinweb index ${purpose}`, 32)));
  return (value) => createHmac('sha256', key).update(value).digest();
}
