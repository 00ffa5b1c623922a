import pg from 'pg';
import type { DatabaseAddress } from '../connection.ts';
import { type OldDatabase, OldDatabaseUnreadable, type OldRow, oldQueries, toOldMessage } from './old-database.ts';

const queries = oldQueries((n) => `$${n}`);

/**
 * One transaction that may only read, and sees everything as it was when it began. The Django backend can go on
 * writing meanwhile.
 *
 * @throws {OldDatabaseUnreadable}
 */
export async function openOldPostgresql(address: DatabaseAddress): Promise<OldDatabase> {
  const client = new pg.Client({
    ...address,
    application_name: 'ruffinweb import',
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 5000,
  });
  // Without a listener for it a lost connection would end the process; the query under way tells of it.
  client.on('error', () => {});
  const ask = async <Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> => {
    try {
      return (await client.query<Row>(text, values)).rows;
    } catch (error) {
      throw new OldDatabaseUnreadable(explain(error as Error), { cause: error });
    }
  };
  try {
    await client.connect().catch((error: Error) => {
      throw new OldDatabaseUnreadable(explain(error), { cause: error });
    });
    await ask('begin transaction isolation level repeatable read, read only');
    // Times come in UTC and in one form; the server's own limits for idle or long transactions are for others.
    await ask(
      `select set_config(name, value, true) from (values ('timezone', 'UTC'), ('datestyle', 'ISO'),
        ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0')) as settings (name, value)`,
    );
  } catch (error) {
    await client.end().catch(() => {});
    throw error;
  }
  return {
    async countMessages() {
      const [row] = await ask<{ count: string }>(queries.count);
      return Number(row?.count);
    },
    async readMessages(after, limit) {
      return (await ask<OldRow>(queries.messages, [String(after), limit])).map(toOldMessage);
    },
    async readSilentSenders(after, limit) {
      return (await ask<OldRow>(queries.silentSenders, [String(after), limit])).map((row) => ({ id: BigInt(row.id) }));
    },
    async [Symbol.asyncDispose]() {
      await client.end().catch(() => {});
    },
  };
}

/** By SQLSTATE (PostgreSQL manual, appendix A). None of these texts holds anything of a row. */
function explain(error: Error): string {
  const { code } = error as { code?: string };
  switch (code) {
    case '28P01':
      return 'refuses the login: mend user and password in its URL';
    case '28000':
      return `does not let us in (${error.message}): mend the user in its URL, or add ?sslmode=require`;
    case '3D000':
      return 'is not there: mend its name in the URL';
    case '42501':
      return 'does not let us read: grant select on backend_sender and backend_message to the user of the URL';
    case '42P01':
    case '42703':
      return `is not the Django backend's (${error.message}): it has backend_sender and backend_message`;
    case '40001':
      return `broke off reading (${error.message}): run the same again, what was taken stays taken`;
  }
  if (error.message.includes('password must be a string')) {
    return 'asks for a password: put it into the URL, or set PGPASSWORD';
  }
  return `cannot be read (${code === undefined || error.message ? error.message : code}): is it running, and is its URL right?`;
}
