import { v7 as uuidv7 } from 'uuid';
import { takeRandom } from '../privacy/random.ts';

let msecs = 0;
let seq = 0;

/**
 * A UUID of version 7 (RFC 9562 §5.7, with the counter of §6.2). Each is greater than those that this process made
 * before, also within a millisecond and where the clock was set back.
 */
export function newId(): string {
  const random = takeRandom(16);
  const now = Date.now();
  if (now > msecs) {
    msecs = now;
    seq = random.readUInt32BE(0) >>> 1;
  } else {
    seq = (seq + 1) >>> 0;
    if (seq === 0) msecs += 1;
  }
  return uuidv7({ random, msecs, seq });
}
