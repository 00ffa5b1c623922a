import { isTlsError } from '../network/tls-error.ts';
import { connectionErrorTexts } from './orm-repairs.ts';

/**
 * SQLSTATEs of a database that lacks space or another resource, cannot use its files, or is read-only, and of a right, a table
 * or a unique index that is missing.
 */
const noWrites = /^(?:53|58|25006|42501|42P01|42P10)/;

/** Whether a statement failed because the database takes no writes now. */
export function lacksWrites(error: unknown): boolean {
  for (let it = error; it instanceof Error; it = it.cause) {
    const { code } = it as { code?: unknown };
    if (typeof code === 'string' && noWrites.test(code)) return true;
  }
  return false;
}

/**
 * SQLSTATEs (PostgreSQL manual, appendix A) of temporary failures: connection lost, resources short, files unusable, server stopping,
 * statement or lock timeout, read-only standby, repeated deadlocks. Also a refused login, and a missing right, database, table
 * or unique index, as while an operator changes the password or restores a backup; PostgreSQL reports a file system that
 * became read-only as a missing right too.
 */
const notNow = /^(?:08|28|53|57P|58|57014|55P03|25006|3D000|40001|40P01|42501|42P01|42P10)/;

const socketCodes = new Set(
  'ECONNREFUSED ECONNRESET ETIMEDOUT EPIPE ENOTFOUND EAI_AGAIN EHOSTUNREACH ENETUNREACH EADDRNOTAVAIL'.split(' '),
);

/** The database may be answering, but too slowly for all the requests that wait for it. */
export class TooSlow extends Error {
  override readonly name = 'TooSlow';
}

/** Whether the database is away or cannot serve us now. False means that the error is a bug. */
export function isOutage(error: unknown): boolean {
  for (let it = error; it instanceof Error; it = it.cause) {
    const { code, routine, syscall } = it as { code?: unknown; routine?: unknown; syscall?: unknown };
    // Whatever the reason, as with the file of a socket that does not exist.
    if (syscall === 'connect') return true;
    // A statement that violates PostgreSQL's protocol (as with a NUL in a text) will fail again. PgBouncer uses the same
    // code for everything that it cannot do now, but names no routine of the server.
    if (code === '08P01' && routine !== undefined) return false;
    if (typeof code === 'string' && (socketCodes.has(code) || notNow.test(code) || isTlsError(code))) return true;
    if (it instanceof TooSlow) return true;
    if (connectionErrorTexts.test(it.message)) return true;
    if (it instanceof AggregateError && it.errors.some(isOutage)) return true;
  }
  return false;
}
