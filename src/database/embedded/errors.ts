import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

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
    const start = 'set DATABASE_URL, or start the server: ruffinweb serve --migrate';
    super(
      existsSync(join(dataDir, 'postgres'))
        ? `the embedded database in ${resolve(dataDir)} is not running; ${start}`
        : `there is no database in ${resolve(dataDir)}: is DATA_DIR right? For a new one ${start}`,
    );
  }
}

/** Another running process owns the embedded PostgreSQL. */
export class EmbeddedOwned extends EmbeddedUnavailable {
  constructor(dataDir: string) {
    super(
      `another server is running on ${dataDir} and stops its database when it stops: stop that server first, use another DATA_DIR, or set DATABASE_URL to run several`,
    );
  }
}
