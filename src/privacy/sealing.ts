import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto';

/** The place of an encrypted value. In another table, column or row it cannot be decrypted. */
export interface Place {
  table: string;
  column: string;
  row: string;
}

/** An AES-256-GCM key with its id in the configuration and the database. */
export interface SealingKey {
  id: string;
  /** 32 bytes, not as a buffer: Node would create such an object for each value, which takes longer than encrypting it. */
  secret: KeyObject;
  /** The first bytes of every value that this key encrypted: version, length of the id, id. */
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
  const nonce = randomBytes(nonceLength);
  const cipher = createCipheriv('aes-256-gcm', key.secret, nonce, { authTagLength: tagLength });
  cipher.setAAD(associatedData(place, key.id));
  // GCM is a stream cipher: `update` returns the whole ciphertext, `final` nothing.
  const ciphertext = cipher.update(plain);
  cipher.final();
  return Buffer.concat([key.prefix, nonce, cipher.getAuthTag(), ciphertext]);
}

export function prefixOf(keyId: string): Buffer {
  const id = Buffer.from(keyId, 'utf8');
  return Buffer.concat([Buffer.from([formatVersion, id.length]), id]);
}

/** The id of the key that an encrypted value needs. @throws {SealBroken} */
export function sealedWith(sealed: Uint8Array): string {
  const length = sealed[1];
  if (sealed[0] !== formatVersion || length === undefined || sealed.length < 2 + length + nonceLength + tagLength) {
    throw new SealBroken('not an encrypted value');
  }
  return Buffer.from(sealed.subarray(2, 2 + length)).toString('utf8');
}

/** @throws {SealBroken} for another key, another place, or changed bytes. */
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
      `the value in ${place.table}.${place.column} of ${place.row} cannot be decrypted with key "${key.id}"`,
    );
  }
}

/** An encrypted value that cannot be decrypted. */
export class SealBroken extends Error {
  override readonly name = 'SealBroken';
}

function associatedData(place: Place, keyId: string): Buffer {
  return Buffer.from(`${place.table}\0${place.column}\0${place.row}\0${keyId}`, 'utf8');
}
