import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { randomText } from '../ids.ts';

/** A key as its owner gets it: `rw_`, a handle of ten characters, and a secret of 256 bits. */
export interface KeyText {
  /** Sent as `Authorization: Bearer …`. */
  text: string;
  handle: string;
}

export function makeKeyText(): KeyText {
  const handle = randomText(10).toLowerCase();
  return { text: `rw_${handle}_${randomBytes(32).toString('base64url')}`, handle };
}

/** @returns the key's handle; undefined if the text cannot be a key. */
export function handleOfKey(text: string): string | undefined {
  return /^rw_([0-9a-hjkmnp-tv-z]{10})_[A-Za-z0-9_-]{43}$/.exec(text)?.[1];
}

export function hashKey(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}

/** Takes the same time for every key, also for one that does not exist. */
export function isSameKey(text: string, hash: Uint8Array | undefined): boolean {
  const same = timingSafeEqual(hashKey(text), hash ?? unusedHash);
  return same && hash !== undefined;
}

const unusedHash = Buffer.alloc(32);
