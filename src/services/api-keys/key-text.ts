import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { randomText } from '../ids.ts';

/** A key as its holder has it: `rw_`, ten characters that name it, and a secret of 256 bits. */
export interface KeyText {
  /** What is sent as `Authorization: Bearer …`. */
  text: string;
  handle: string;
}

export function makeKeyText(): KeyText {
  const handle = randomText(10).toLowerCase();
  return { text: `rw_${handle}_${randomBytes(32).toString('base64url')}`, handle };
}

/** @returns the key's handle; undefined for what cannot be a key. */
export function handleOfKey(text: string): string | undefined {
  return /^rw_([0-9a-hjkmnp-tv-z]{10})_[A-Za-z0-9_-]{43}$/.exec(text)?.[1];
}

export function hashKey(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest();
}

/** Takes as long whatever the key is, and whether there is one. */
export function isSameKey(text: string, hash: Uint8Array | undefined): boolean {
  const same = timingSafeEqual(hashKey(text), hash ?? nobodysHash);
  return same && hash !== undefined;
}

const nobodysHash = Buffer.alloc(32);
