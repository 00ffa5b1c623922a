import { open } from 'node:fs/promises';
import type { DatabaseSync } from 'node:sqlite';
import { type OldDatabase, OldDatabaseUnreadable, type OldRow, oldQueries, toOldMessage } from './old-database.ts';

const queries = oldQueries((n) => `?${n}`);

/** How long to wait for a writer that has the file locked, in milliseconds. */
const patienceMs = 10_000;

/**
 * Each page is a statement of its own, and no transaction is held between two: with SQLite's usual journal a
 * reader that stays would keep the Django backend from writing.
 *
 * @param where a path, or `sqlite:///…`.
 * @throws {OldDatabaseUnreadable}
 */
export async function openOldSqlite(where: string): Promise<OldDatabase> {
  const path = await findFile(pathsOf(where));
  const { DatabaseSync } = await loadSqlite();
  const asked = <Result>(question: () => Result): Result => {
    try {
      return question();
    } catch (error) {
      throw new OldDatabaseUnreadable(explain(error as Error, path), { cause: error });
    }
  };
  const database = asked(() => new DatabaseSync(path, { readOnly: true, timeout: patienceMs }));
  try {
    const statements = asked(() => prepare(database));
    return {
      async countMessages() {
        return asked(() => Number(statements.count.get()?.count));
      },
      async readMessages(after, limit) {
        // SQLite gives what the query asks for, and every column of it is cast to text.
        return asked(() => statements.messages.all(after, limit) as unknown as OldRow[]).map(toOldMessage);
      },
      async readSilentSenders(after, limit) {
        return asked(() => statements.silentSenders.all(after, limit)).map((row) => ({ id: BigInt(String(row.id)) }));
      },
      async [Symbol.asyncDispose]() {
        database.close();
      },
    };
  } catch (error) {
    database.close();
    throw error;
  }
}

function prepare(database: DatabaseSync) {
  return {
    count: database.prepare(queries.count),
    messages: database.prepare(queries.messages),
    silentSenders: database.prepare(queries.silentSenders),
  };
}

/** `sqlite:///db.sqlite3` is relative and `sqlite:////srv/db.sqlite3` is not, for Django's tools; people mean either. */
function pathsOf(where: string): string[] {
  if (!/^sqlite:/i.test(where)) return [where];
  const path = decodeURIComponent(where.replace(/^sqlite:(?:\/\/\/?)?/i, '').replace(/\?.*$/, ''));
  return path.startsWith('/') ? [path] : [path, `/${path}`];
}

/** The first that can be opened. SQLite itself would say the same of all that is wrong with a path. */
async function findFile(paths: string[]): Promise<string> {
  for (const path of paths) {
    try {
      const file = await open(path, 'r');
      const isFile = (await file.stat()).isFile();
      await file.close();
      if (!isFile) throw new OldDatabaseUnreadable(`is not a file: ${path}`);
      return path;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENOTDIR') continue;
      if (error instanceof OldDatabaseUnreadable) throw error;
      throw new OldDatabaseUnreadable(`cannot be opened: ${(error as Error).message}`, { cause: error });
    }
  }
  throw new OldDatabaseUnreadable(`is not there: ${paths.join(' or ')}`);
}

/**
 * The oldest Node that we run on warns that its SQLite is new. That is for those who write programs; every other
 * warning goes through.
 */
async function loadSqlite(): Promise<typeof import('node:sqlite')> {
  const { emitWarning } = process;
  process.emitWarning = (...args: unknown[]) => {
    if (args[1] === 'ExperimentalWarning' && String(args[0]).startsWith('SQLite')) return;
    // The overloads cannot be written down here; every one of them is passed through unchanged.
    (emitWarning as (...all: unknown[]) => void).apply(process, args);
  };
  try {
    return await import('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** By result code (sqlite.org, "Result and Error Codes"); the extended ones have more in their higher bits. */
function explain(error: Error, path: string): string {
  const { errcode = 0 } = error as { errcode?: number };
  switch (errcode & 0xff) {
    case 1:
      return `is not the Django backend's (${error.message}): it has backend_sender and backend_message`;
    case 5:
      return `is locked by a writer that does not let go: ${path}`;
    case 8:
    case 14:
      return `was left unfinished by whoever wrote to it last, or its folder does not let us in: open it once with the Django backend, or copy ${path} with its -wal and -journal files`;
    case 11:
      return `is damaged (${error.message}): ${path}; a copy made while it was written to can be`;
    case 26:
      return `is not an SQLite file: ${path}`;
  }
  return `cannot be read (${error.message}): ${path}`;
}
