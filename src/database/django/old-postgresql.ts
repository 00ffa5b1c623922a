import pg from 'pg';
import { isTlsError } from '../../network/tls-error.ts';
import type { DatabaseAddress } from '../connection.ts';
import { type OldDatabase, OldDatabaseUnreadable } from './old-database.ts';

/**
 * Reads in one read-only transaction, which sees the database as it was at its start. The Django backend may keep writing.
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
  // Without a listener, a lost connection would end the process. The running query fails anyway.
  client.on('error', () => {});
  const explained = (error: Error): never => {
    throw new OldDatabaseUnreadable(explain(error), { cause: error });
  };
  try {
    await client.connect();
    // Times are returned in UTC and in one format. The server's limits on idle and long transactions do not apply.
    await client.query(`
      begin transaction isolation level repeatable read, read only;
      set local timezone = 'UTC';
      set local datestyle = 'ISO';
      set local statement_timeout = 0;
      set local idle_in_transaction_session_timeout = 0`);
  } catch (error) {
    await client.end().catch(() => {});
    return explained(error as Error);
  }
  return {
    async query<Row extends object>(text: string, values: readonly (bigint | number)[] = []) {
      return (await client.query<Row>(text, values.map(String)).catch(explained)).rows;
    },
    async [Symbol.asyncDispose]() {
      await client.end().catch(() => {});
    },
  };
}

/** By SQLSTATE (PostgreSQL manual, appendix A). None of these texts contains data of a row. */
function explain(error: Error): string {
  const { code } = error as { code?: string };
  switch (code) {
    case '28P01':
      return 'rejects the login: check user and password in its URL';
    case '28000':
      return `rejects the connection (${error.message}): check the user in its URL, or add ?sslmode=require`;
    case '3D000':
      return 'does not exist: check its name in the URL';
    case '42501':
      return 'does not let us read: grant select on backend_sender and backend_message to the user of the URL';
    case '42P01':
    case '42703':
      return `is not the Django backend's (${error.message}): it needs backend_sender and backend_message`;
    case '40001':
      return `cancelled the read (${error.message}): run the import again, it continues where it ended`;
  }
  if (isTlsError(code ?? '') || error.message.includes('does not support SSL')) {
    return `has no TLS that we trust (${error.message}): add ?sslrootcert=<file> to its URL, or ?sslmode=disable if the network is private`;
  }
  if (error.message.includes('password must be a string')) {
    return 'asks for a password: put it into the URL, or set PGPASSWORD';
  }
  return `cannot be read (${code === undefined || error.message ? error.message : code}): is it running, and is its URL right?`;
}
