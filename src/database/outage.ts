/**
 * SQLSTATE classes and codes (PostgreSQL manual, appendix A) that say "not now", whatever was asked: connection
 * lost, resources short, server stopping, statement or lock time-out, read-only standby, a login that is refused or a
 * database that is not there, as while its password is changed or a backup restored, and deadlocks that were met again
 * and again.
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

/** What the driver says without a code: no connection to be had, or none that answers. */
const driverTexts =
  /timeout exceeded when trying to connect|timeout expired|Query read timeout|Connection terminated|Client has encountered a connection error/;

/** The database answers, or may answer, but not soon enough for all who wait for it. */
export class TooSlow extends Error {
  override readonly name = 'TooSlow';
}

/** Whether an error means that the database is away or cannot serve us now, rather than that we are at fault. */
export function isOutage(error: unknown): boolean {
  for (let it = error; it instanceof Error; it = it.cause) {
    const { code } = it as { code?: unknown };
    if (isOurFault(it as { code?: unknown; routine?: unknown })) return false;
    if (typeof code === 'string' && (socketCodes.has(code) || notNow.test(code))) return true;
    if (it instanceof TooSlow) return true;
    if (driverTexts.test(it.message)) return true;
    if (it instanceof AggregateError && it.errors.some(isOutage)) return true;
  }
  return false;
}

/**
 * What PostgreSQL takes for a violation of its protocol (08P01, a NUL in a statement) it will take for one again.
 * PgBouncer gives the same code to all that it cannot do now, but names no routine of the server.
 */
function isOurFault({ code, routine }: { code?: unknown; routine?: unknown }): boolean {
  return code === '08P01' && routine !== undefined;
}
