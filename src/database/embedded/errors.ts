import { resolve } from 'node:path';

/** The embedded PostgreSQL cannot run here. The message says why and what to do. */
export class EmbeddedUnavailable extends Error {
  override name = 'EmbeddedUnavailable';
}

export const useDatabaseUrl =
  'set DATABASE_URL to a PostgreSQL 15 or newer, as in postgresql://user:password@host/name';

/** No process has started the embedded PostgreSQL. */
export class EmbeddedNotRunning extends Error {
  override name = 'EmbeddedNotRunning';
  constructor(dataDir: string) {
    super(
      `the embedded database in ${resolve(dataDir)} is not running; set DATABASE_URL, or start the server: ruffinweb serve --migrate`,
    );
  }
}

/** Another running process owns the embedded PostgreSQL. */
export class EmbeddedOwned extends EmbeddedUnavailable {
  constructor(dataDir: string) {
    super(
      `another server is running on ${dataDir} and stops its database when it stops: stop that server first, or set DATABASE_URL to run several`,
    );
  }
}
