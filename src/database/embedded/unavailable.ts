/** The embedded server cannot run here. The message says why and what to do instead. */
export class EmbeddedUnavailable extends Error {
  override name = 'EmbeddedUnavailable';
}

/** What always helps. */
export const useDatabaseUrl =
  'set DATABASE_URL to a PostgreSQL 15 or newer, as in postgresql://user:password@host/name';
