import { randomBytes } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';

/**
 * A UUID of version 7 (RFC 9562 §5.7). Each is greater than all that this process made before, even within one
 * millisecond and after the clock was set back.
 */
export function newId(): string {
  return uuidv7();
}

/** SQL: the same, of the time when the transaction began. */
export const newIdSql = `(lpad(to_hex((extract(epoch from now()) * 1000)::bigint), 12, '0') || '7'
    || substr(gen_random_uuid()::text, 16))::uuid`;

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
  for (const byte of randomBytes(length)) text += alphabet[byte & 31];
  return text;
}

/** Reads a receipt as people type it: any case, O for 0, I and L for 1. */
export function readReceipt(text: string): string | undefined {
  const plain = text.trim().toUpperCase().replaceAll('O', '0').replaceAll(/[IL]/g, '1');
  // The random part may begin with RW too.
  const [, random] = /^(?:RW-?)?([0-9A-HJKMNP-TV-Z]{10})$/.exec(plain) ?? [];
  return random === undefined ? undefined : `RW-${random}`;
}

/** The same with the spaces and signs of a mail or a dictation: `#rw 4k2m 9q7t1x`, `(RW-4K2M9Q7T1X)`. */
export function readTypedReceipt(text: string): string | undefined {
  return readReceipt(text.replaceAll(/[^0-9a-z]/gi, ''));
}

/** Ids as the text of a PostgreSQL array, without nulls. */
export function listOf(ids: readonly (string | null)[]): string {
  return `{${ids.filter((it) => it !== null).join(',')}}`;
}
