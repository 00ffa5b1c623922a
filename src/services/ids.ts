import { v7 as uuidv7 } from 'uuid';
import { takeRandom } from '../privacy/random.ts';

let msecs = 0;
let seq = 0;

/**
 * A UUID version 7 (RFC 9562 §5.7, with the counter of §6.2). Each is greater than all that this process made before, even
 * within a millisecond or after the clock was set back.
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

/** Receipts are random, so two may clash, very rarely. A retry draws new ones. */
export function isReceiptClash(error: unknown): boolean {
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  return code === '23505' && constraint === 'messages_receipt_unique';
}

/** Crockford's base 32: without I, L, O and U, so that it can be read aloud. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** `RW-` and ten random characters (50 bits). The column is unique. */
export function makeReceipt(): string {
  return `RW-${randomText(10)}`;
}

/** Random characters of the alphabet, five bits each. */
export function randomText(length: number): string {
  let text = '';
  for (const byte of takeRandom(length)) text += alphabet[byte & 31];
  return text;
}

/** Reads a receipt as people type it: any case, O for 0, I and L for 1. */
export function readReceipt(text: string): string | undefined {
  const plain = text.trim().toUpperCase().replace(/^RW-?/, '').replaceAll('O', '0').replaceAll(/[IL]/g, '1');
  return /^[0-9A-HJKMNP-TV-Z]{10}$/.test(plain) ? `RW-${plain}` : undefined;
}
