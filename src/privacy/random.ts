import { randomFillSync } from 'node:crypto';

/** What is fetched from the system at a time, in bytes: to ask for a few takes longer than what they are for. */
const atOnce = 4096;

let fetched: Buffer = Buffer.alloc(0);
let used = 0;

/** Random bytes that nobody can guess, each of them given out once. At most 4096. */
export function takeRandom(length: number): Buffer {
  if (length > atOnce) throw new RangeError(`no more than ${atOnce} random bytes at a time`);
  if (used + length > fetched.length) {
    fetched = randomFillSync(Buffer.allocUnsafeSlow(atOnce));
    used = 0;
  }
  used += length;
  return fetched.subarray(used - length, used);
}
