import { connectionErrorTexts } from './orm-repairs.ts';

/**
 * SQLSTATE classes and codes (PostgreSQL manual, appendix A) that say "not now" to any statement: connection lost,
 * resources short, server stopping, statement or lock timeout, read-only standby, repeated deadlocks, and a refused
 * login or a missing database, as while an operator changes the password or restores a backup.
 */
const notNow = /^(?:08|28|53|57P|57014|55P03|25006|3D000|40001|40P01)/;

const socketCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
]);

/** The database may be answering, but too slowly for all the requests that wait for it. */
export class TooSlow extends Error {
  override readonly name = 'TooSlow';
}

/** Whether the database is away or cannot serve us now. False means that the error is a bug. */
export function isOutage(error: unknown): boolean {
  for (let it = error; it instanceof Error; it = it.cause) {
    const { code } = it as { code?: unknown };
    if (isProtocolViolation(it as { code?: unknown; routine?: unknown })) return false;
    if (typeof code === 'string' && (socketCodes.has(code) || notNow.test(code))) return true;
    if (it instanceof TooSlow) return true;
    if (connectionErrorTexts.test(it.message)) return true;
    if (it instanceof AggregateError && it.errors.some(isOutage)) return true;
  }
  return false;
}

/**
 * A statement that violates PostgreSQL's protocol (08P01, as with a NUL in a text) will fail again. PgBouncer uses the
 * same code for everything that it cannot do now, but names no routine of the server.
 */
function isProtocolViolation({ code, routine }: { code?: unknown; routine?: unknown }): boolean {
  return code === '08P01' && routine !== undefined;
}
