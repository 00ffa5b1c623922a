import { v7 as uuidv7 } from 'uuid';
import { Problem } from '../problems.ts';
import { dayMs, isInKnownYears } from './clock.ts';

/** One page of a list, newest first. */
export interface Page<Item> {
  items: Item[];
  /** The cursor of the next page; null on the last one. */
  next: string | null;
}

export interface PageRequest {
  /** From 1 to `maxLimit`. */
  limit?: number;
  /** The previous page's `next`. */
  cursor?: string;
}

const maxLimit = 200;
const defaultLimit = 50;

/** @throws {Problem} argument-invalid */
export function readLimit(limit: number | undefined): number {
  if (limit === undefined) return defaultLimit;
  if (Number.isInteger(limit) && limit >= 1 && limit <= maxLimit) return limit;
  throw new Problem('argument-invalid', `a page has 1 to ${maxLimit} entries`);
}

/**
 * Cuts a page out of rows that were read with a limit of `limit + 1`.
 *
 * @param row.at only if the list is sorted by a time.
 */
export function cutPage<Row extends { id: string; at?: Date }, Item>(
  rows: readonly Row[],
  limit: number,
  view: (row: Row) => Item,
): Page<Item> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map((row) => view(row)),
    next: rows.length > limit && last !== undefined ? writeCursor(last) : null,
  };
}

/** Opaque to clients, so that it may change: 8 bytes of time (if any), then the 16 bytes of an id. */
export function writeCursor({ id, at }: { id: string; at?: Date }): string {
  const time = Buffer.alloc(at === undefined ? 0 : 8);
  if (at !== undefined) time.writeBigInt64BE(BigInt(at.getTime()));
  return Buffer.concat([time, Buffer.from(id.replaceAll('-', ''), 'hex')]).toString('base64url');
}

/** @returns the id after which the page begins. @throws {Problem} argument-invalid */
export function readIdCursor(cursor: string | undefined): string {
  return cursor === undefined ? afterAllIds : stringifyId(readBytes(cursor, 16));
}

/** @returns the time and id after which the page begins. @throws {Problem} argument-invalid */
export function readTimeCursor(cursor: string | undefined): { at: string; id: string } {
  if (cursor === undefined) return { at: 'infinity', id: afterAllIds };
  const bytes = readBytes(cursor, 24);
  const at = new Date(Number(bytes.readBigInt64BE()));
  if (!isInKnownYears(at)) throw cursorInvalid();
  return { at: at.toISOString(), id: stringifyId(bytes.subarray(8)) };
}

function readBytes(cursor: string, length: number): Buffer {
  const bytes = Buffer.from(cursor, 'base64url');
  if (bytes.length !== length || bytes.toString('base64url') !== cursor) throw cursorInvalid();
  return bytes;
}

function stringifyId(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}

function cursorInvalid(): Problem {
  return new Problem('argument-invalid', 'unknown cursor: pass the one that the previous page returned');
}

export interface Period {
  /** Inclusive. */
  since?: Date;
  /** Exclusive. */
  until?: Date;
}

/** Lower and higher than every id. */
export const beforeAllIds = '00000000-0000-0000-0000-000000000000';
const afterAllIds = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

/**
 * Yields all rows, page by page in id order. Each page is a query of its own, so a slow reader holds neither
 * a transaction nor a connection.
 *
 * @param read reads the page that begins after this id. It also decides whether ids go up or down.
 */
export async function* walkById<Row extends { id: string }>(
  read: (after: string) => Promise<Row[]>,
  start = beforeAllIds,
): AsyncGenerator<Row[]> {
  for (let after = start; ; ) {
    const rows = await read(after);
    const last = rows.at(-1);
    if (last === undefined) return;
    yield rows;
    after = last.id;
  }
}

/** How far the clock that makes ids may differ from the database's clock, which writes the times. */
const clockMarginMs = dayMs;

/**
 * The ids (UUIDv7, RFC 9562 §5.7) that rows of a period can have, so that the index on ids serves a condition on time. The
 * column with the time still decides.
 */
export function idsOf({ since, until }: Period): { $gte?: string; $lt?: string } | undefined {
  if (since === undefined && until === undefined) return undefined;
  return {
    ...(since && { $gte: lowestId(since.getTime() - clockMarginMs) }),
    ...(until && { $lt: lowestId(until.getTime() + clockMarginMs) }),
  };
}

function lowestId(ms: number): string {
  return uuidv7({ msecs: Math.max(0, ms), seq: 0, random: new Uint8Array(16) });
}

/** A condition on a column with a time; undefined if the period has no limits. */
export function timesOf({ since, until }: Period): { $gte?: Date; $lt?: Date } | undefined {
  if (since === undefined && until === undefined) return undefined;
  return { ...(since && { $gte: since }), ...(until && { $lt: until }) };
}
