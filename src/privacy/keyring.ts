import { createSecretKey, hkdfSync } from 'node:crypto';
import { createBlindIndex } from './blind-index.ts';
import { describeKey, type StoredKey } from './key-row.ts';
import type { SealedPlace } from './sealed-columns.ts';
import { prefixOf, SealBroken, type SealingKey, seal, sealedWith, unseal } from './sealing.ts';

/**
 * The keys of one running program: the newest seals, every one of them opens. Made by `checkKeys` in
 * `keyring-check.ts`, which has compared them with the database.
 */
export class Keyring {
  readonly #keys: ReadonlyMap<string, SealingKey>;
  readonly #newest: SealingKey;
  readonly #indexKey: Uint8Array;
  /** 32-byte keyed hashes, each with a key of its own: of a sender's address, */
  readonly addressIndex: (address: string) => Buffer;
  /** of a message's text, */
  readonly textIndex: (text: string) => Buffer;
  /** of an idempotency key, */
  readonly keyIndex: (key: string) => Buffer;
  /** of a client whose requests are counted outside this process, */
  readonly limitIndex: (client: string) => Buffer;
  /** of all that was posted, */
  readonly fingerprint: (posted: string) => Buffer;
  /** and of a row that was taken over from another program. */
  readonly importPrint: (row: string) => Buffer;
  /** Vouches for a link, or a line of a file, that changes something without a login. */
  readonly linkSignature: (what: string) => Buffer;
  /** Signs captcha challenges; the same on every server of one database. */
  readonly captchaSecret: string;

  constructor(keys: readonly SealingKey[], indexKey: Uint8Array) {
    const [newest] = keys;
    if (newest === undefined) throw new RangeError('a keyring needs a key');
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

  /** All of its keys, the newest first. */
  get ids(): string[] {
    return [...this.#keys.keys()];
  }

  /** What every value begins with that the newest key sealed. */
  get newestPrefix(): Buffer {
    return this.#newest.prefix;
  }

  /** The database's row for the newest key, made afresh. */
  describeNewest(): StoredKey {
    return describeKey(this.#newest, this.#indexKey);
  }

  seal(text: string, place: SealedPlace): Buffer {
    return seal(text, place, this.#newest);
  }

  /** @throws {SealBroken} where the key is not on this ring, or the value was moved or changed. */
  open(sealed: Uint8Array, place: SealedPlace): string {
    const keyId = sealedWith(sealed);
    const key = this.#keys.get(keyId);
    if (key === undefined) throw new SealBroken(`sealed with key "${keyId}", which ENCRYPTION_KEYS does not have`);
    return unseal(sealed, place, key).toString('utf8');
  }
}

/**
 * The key that seals is derived (HKDF, RFC 5869) from the configured one, so that the same secret could serve
 * another purpose later without the two ever meeting.
 */
export function sealingKey(id: string, secret: Uint8Array): SealingKey {
  const derived = new Uint8Array(hkdfSync('sha256', secret, '', 'ruffinweb seal 1', 32));
  return { id, secret: createSecretKey(derived), prefix: prefixOf(id) };
}
