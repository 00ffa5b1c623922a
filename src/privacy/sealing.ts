import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import { takeRandom } from './random.ts';

/** Where a sealed value stands. A seal moved to another table, column or row does not open. */
export interface Place {
  table: string;
  column: string;
  row: string;
}

/** AES-256-GCM key with the id under which configuration and database know it. */
export interface SealingKey {
  id: string;
  /** 32 bytes. Given as bytes, Node would make such an object of them anew for each seal, which takes longer than sealing. */
  secret: KeyObject;
  /** What every value begins with that this key sealed: version, length of the id, id. */
  prefix: Buffer;
}

const formatVersion = 1;
const nonceLength = 12;
const tagLength = 16;

/**
 * AES-256-GCM (NIST SP 800-38D) with a random 96-bit nonce; place and key id are authenticated with it.
 * Layout: version (1 byte), length of the key id (1), key id, nonce (12), tag (16), ciphertext.
 */
export function seal(plain: string | Uint8Array, place: Place, key: SealingKey): Buffer {
  const nonce = takeRandom(nonceLength);
  const cipher = createCipheriv('aes-256-gcm', key.secret, nonce, { authTagLength: tagLength });
  cipher.setAAD(associatedData(place, key.id));
  // GCM is a stream cipher: all of the text comes out at once, and nothing is left for the end.
  const ciphertext = typeof plain === 'string' ? cipher.update(plain, 'utf8') : cipher.update(plain);
  cipher.final();
  return Buffer.concat([key.prefix, nonce, cipher.getAuthTag(), ciphertext]);
}

export function prefixOf(keyId: string): Buffer {
  const id = Buffer.from(keyId, 'utf8');
  return Buffer.concat([Buffer.from([formatVersion, id.length]), id]);
}

/** The id of the key that a sealed value needs. */
export function sealedWith(sealed: Uint8Array): string {
  const length = sealed[1];
  if (sealed[0] !== formatVersion || length === undefined || sealed.length < 2 + length + nonceLength + tagLength) {
    throw new SealBroken('not a sealed value');
  }
  return Buffer.from(sealed.subarray(2, 2 + length)).toString('utf8');
}

/** @throws {SealBroken} for another key, another place, or changed bytes; no part of the text is given out then. */
export function unseal(sealed: Uint8Array, place: Place, key: SealingKey): Buffer {
  const start = 2 + Buffer.byteLength(sealedWith(sealed));
  const nonce = sealed.subarray(start, start + nonceLength);
  const tag = sealed.subarray(start + nonceLength, start + nonceLength + tagLength);
  const ciphertext = sealed.subarray(start + nonceLength + tagLength);
  const decipher = createDecipheriv('aes-256-gcm', key.secret, nonce, { authTagLength: tagLength });
  decipher.setAAD(associatedData(place, key.id));
  decipher.setAuthTag(tag);
  try {
    return Buffer.concat([decipher.update(ciphertext), decipher.final()]);
  } catch {
    throw new SealBroken(
      `the value in ${place.table}.${place.column} of ${place.row} does not open with key "${key.id}"`,
    );
  }
}

/** A sealed value that does not open. */
export class SealBroken extends Error {
  override readonly name = 'SealBroken';
}

function associatedData(place: Place, keyId: string): Buffer {
  return Buffer.from(`${place.table}\0${place.column}\0${place.row}\0${keyId}`, 'utf8');
}
