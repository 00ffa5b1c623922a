import { randomFillSync } from 'node:crypto';

/** Bytes to read from the system at a time: each read costs more than the encryption that needs it. */
const atOnce = 4096;

let fetched: Buffer = Buffer.alloc(0);
let used = 0;

/** Cryptographically random bytes, at most 4096. Each byte is returned only once. */
export function takeRandom(length: number): Buffer {
  if (length > atOnce) throw new RangeError(`no more than ${atOnce} random bytes at a time`);
  if (used + length > fetched.length) {
    fetched = randomFillSync(Buffer.allocUnsafeSlow(atOnce));
    used = 0;
  }
  used += length;
  return fetched.subarray(used - length, used);
}
