import { hkdfSync } from 'node:crypto';
import { createBlindIndex } from './blind-index.ts';
import { type Place, SealBroken, type SealingKey, seal, sealedWith, unseal } from './sealing.ts';

/**
 * The keys of one running program: the newest seals, every one of them opens. Made by `openKeyring` in
 * `keyring-check.ts`, which has compared them with the database.
 */
export class Keyring {
  readonly #keys: ReadonlyMap<string, SealingKey>;
  readonly #newest: SealingKey;
  /** 32-byte keyed hash that finds an address without knowing it. */
  readonly addressIndex: (address: string) => Buffer;

  constructor(keys: readonly SealingKey[], indexKey: Uint8Array) {
    const [newest] = keys;
    if (newest === undefined) throw new RangeError('a keyring needs a key');
    this.#newest = newest;
    this.#keys = new Map(keys.map((key) => [key.id, key]));
    this.addressIndex = createBlindIndex(indexKey, 'senders.address_index');
  }

  get newestId(): string {
    return this.#newest.id;
  }

  seal(text: string, place: Place): Buffer {
    return seal(Buffer.from(text, 'utf8'), place, this.#newest);
  }

  /** @throws {SealBroken} where the key is not on this ring, or the value was moved or changed. */
  open(sealed: Uint8Array, place: Place): string {
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
  return { id, bytes: new Uint8Array(hkdfSync('sha256', secret, '', 'ruffinweb seal 1', 32)) };
}
