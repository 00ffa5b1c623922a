import { open } from 'node:fs/promises';
import { type OldDatabase, OldDatabaseUnreadable } from './old-database.ts';

/** How long to wait for a writer that has locked the file, in milliseconds. */
const lockTimeoutMs = 10_000;

/**
 * Reads without a transaction around the pages: in SQLite's default journal mode, a long reader would keep the Django
 * backend from writing.
 *
 * @param where a path, or `sqlite:///…`.
 * @throws {OldDatabaseUnreadable}
 */
export async function openOldSqlite(where: string): Promise<OldDatabase> {
  const path = await findFile(pathsOf(where));
  const { DatabaseSync } = await import('node:sqlite');
  const explained = <Result>(read: () => Result): Result => {
    try {
      return read();
    } catch (error) {
      throw new OldDatabaseUnreadable(explain(error as Error, path), { cause: error });
    }
  };
  const database = explained(() => new DatabaseSync(path, { readOnly: true, timeout: lockTimeoutMs }));
  return {
    async query<Row extends object>(text: string, values: readonly (bigint | number)[] = []) {
      const statement = explained(() => database.prepare(text.replaceAll('$', '?')));
      return explained(() => statement.all(...values)) as Row[];
    },
    async [Symbol.asyncDispose]() {
      database.close();
    },
  };
}

/** Django's tools read `sqlite:///a` as relative and `sqlite:////a` as absolute. People mix them up, so try both. */
function pathsOf(where: string): string[] {
  if (!/^sqlite:/i.test(where)) return [where];
  const path = decodeURIComponent(where.replace(/^sqlite:(?:\/\/\/?)?/i, '').replace(/\?.*$/, ''));
  return path.startsWith('/') ? [path] : [path, `/${path}`];
}

/** Returns the first path that exists. SQLite has the same message for everything that is wrong with a path. */
async function findFile(paths: string[]): Promise<string> {
  for (const path of paths) {
    try {
      await using file = await open(path, 'r');
      if ((await file.stat()).isFile()) return path;
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') continue;
      throw new OldDatabaseUnreadable(`cannot be opened: ${message}`, { cause: error });
    }
    throw new OldDatabaseUnreadable(`is not a file: ${path}`);
  }
  throw new OldDatabaseUnreadable(`does not exist: ${paths.join(' or ')}`);
}

/** By result code (sqlite.org, "Result and Error Codes"). The extended codes use the higher bits. */
function explain(error: Error, path: string): string {
  const { errcode = 0 } = error as { errcode?: number };
  switch (errcode & 0xff) {
    case 1:
      return `is not the Django backend's (${error.message}): it needs backend_sender and backend_message`;
    case 5:
      return `is locked by another program: ${path}`;
    case 8:
    case 14:
      return `has an unfinished write, or its folder is not writable: open it once with the Django backend, or copy ${path} with its -wal and -journal files`;
    case 11:
      return `is damaged (${error.message}): ${path}; was it copied while Django wrote to it?`;
    case 26:
      return `is not an SQLite file: ${path}`;
  }
  return `cannot be read (${error.message}): ${path}`;
}
