import { takeRandom } from '../privacy/random.ts';

/** Crockford's base 32: no I, L, O and U, so that it can be read aloud. */
const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** `RW-` and ten random characters (50 bits). Two in a thousand million clash once in a thousand; the column is unique. */
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
