import { createHmac, createSecretKey, hkdfSync } from 'node:crypto';
import { describeKey, type StoredKey } from './key-row.ts';
import type { SealedPlace } from './sealed-columns.ts';
import { prefixOf, SealBroken, type SealingKey, seal, sealedWith, unseal } from './sealing.ts';

/**
 * The keys of a running program: the first configured key encrypts, all of them decrypt. Only `checkKeys` in
 * `keyring-check.ts` creates one, after it has compared the keys with the database.
 */
export class Keyring {
  readonly #keys: ReadonlyMap<string, SealingKey>;
  readonly #newest: SealingKey;
  readonly #indexKey: Uint8Array;
  // Keyed hashes, each with its own key.
  /** Hashes a sender's address. */
  readonly addressIndex: (address: string) => Buffer;
  /** Hashes a message's text. */
  readonly textIndex: (text: string) => Buffer;
  /** Hashes an idempotency key. */
  readonly keyIndex: (key: string) => Buffer;
  /** Hashes a client address, for request counts that several servers share. */
  readonly limitIndex: (client: string) => Buffer;
  /** Hashes a whole post. */
  readonly fingerprint: (posted: string) => Buffer;
  /** Hashes a row that was imported from another program. */
  readonly importPrint: (row: string) => Buffer;
  /** Signs links that work without a login, and lines of the erasure log. */
  readonly linkSignature: (what: string) => Buffer;
  /** Signs captcha challenges; the same on all servers of one database. */
  readonly captchaSecret: string;

  constructor(keys: readonly SealingKey[], indexKey: Uint8Array) {
    const [newest] = keys;
    if (newest === undefined) throw new RangeError('a keyring needs at least one key');
    this.#newest = newest;
    this.#indexKey = indexKey;
    this.#keys = new Map(keys.map((key) => [key.id, key]));
    this.addressIndex = createBlindIndex(indexKey, 'senders.address_index');
    this.textIndex = createBlindIndex(indexKey, 'messages.text_index');
    this.keyIndex = createBlindIndex(indexKey, 'message_keys.key');
    this.limitIndex = createBlindIndex(indexKey, 'limits');
    this.fingerprint = createBlindIndex(indexKey, 'fingerprint');
    this.importPrint = createBlindIndex(indexKey, 'imported_rows.print');
    this.linkSignature = createBlindIndex(indexKey, 'link signature');
    this.captchaSecret = createBlindIndex(indexKey, 'captcha secret')('').toString('hex');
  }

  get newestId(): string {
    return this.#newest.id;
  }

  /** The encrypting key's id first. */
  get ids(): string[] {
    return [...this.#keys.keys()];
  }

  /** The first bytes of every value that the encrypting key encrypted. */
  get newestPrefix(): Buffer {
    return this.#newest.prefix;
  }

  /** A new database row for the encrypting key. */
  describeNewest(): StoredKey {
    return describeKey(this.#newest, this.#indexKey);
  }

  seal(text: string, place: SealedPlace): Buffer {
    return seal(text, place, this.#newest);
  }

  /** @throws {SealBroken} if the key is not configured, or the value was moved or changed. */
  open(sealed: Uint8Array, place: SealedPlace): string {
    const keyId = sealedWith(sealed);
    const key = this.#keys.get(keyId);
    if (key === undefined) throw new SealBroken(`encrypted with key "${keyId}", which ENCRYPTION_KEYS does not have`);
    return unseal(sealed, place, key).toString('utf8');
  }
}

/**
 * Creates a keyed hash (HMAC-SHA-256, RFC 2104, 32 bytes) by which encrypted values can be looked up ("blind index"). Each
 * purpose has its own key, so that equal values in two columns cannot be recognised as equal.
 */
export function createBlindIndex(indexKey: Uint8Array, purpose: string): (value: string) => Buffer {
  const key = createSecretKey(new Uint8Array(hkdfSync('sha256', indexKey, '', `ruffinweb index ${purpose}`, 32)));
  return (value) => createHmac('sha256', key).update(value).digest();
}

/** Derives the encryption key from the configured one (HKDF, RFC 5869), which could serve another purpose later. */
export function sealingKey(id: string, secret: Uint8Array): SealingKey {
  const derived = new Uint8Array(hkdfSync('sha256', secret, '', 'ruffinweb seal 1', 32));
  return { id, secret: createSecretKey(derived), prefix: prefixOf(id) };
}
