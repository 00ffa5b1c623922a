import { type DatabaseAddress, readDatabaseUrl } from '../connection.ts';
import { type OldDatabase, OldDatabaseUnknown } from './old-database.ts';

/**
 * Opens the Django backend's database for reading.
 *
 * @param where `postgresql://…`, the path of an SQLite file, or `sqlite:///…`.
 * @throws {OldDatabaseUnknown}
 * @throws {OldDatabaseUnreadable}
 */
export async function openOldDatabase(where: string): Promise<OldDatabase> {
  if (/^postgres(?:ql)?:/i.test(where)) {
    const { openOldPostgresql } = await import('./old-postgresql.ts');
    return await openOldPostgresql(readAddress(where));
  }
  const scheme = /^([a-z][a-z0-9+.-]+):\/\//i.exec(where)?.[1]?.toLowerCase();
  if (where !== '' && (scheme === undefined || scheme === 'sqlite')) {
    const { openOldSqlite } = await import('./old-sqlite.ts');
    return await openOldSqlite(where);
  }
  const what = scheme === undefined ? 'an empty argument' : `${scheme}://`;
  throw new OldDatabaseUnknown(`${what} cannot be read: pass postgresql://… or the path of an SQLite file`);
}

/** The error does not repeat the URL, which may contain a password. */
function readAddress(url: string): DatabaseAddress {
  try {
    return readDatabaseUrl(url);
  } catch (error) {
    throw new OldDatabaseUnknown(`the URL of the old database is not valid: ${(error as Error).message}`);
  }
}
