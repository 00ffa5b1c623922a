import type { Socket } from 'node:net';
import type SMTPConnection from 'nodemailer/lib/smtp-connection';
import type SMTPPool from 'nodemailer/lib/smtp-pool';

// nodemailer has one limit of silence for all that a connection does, and its types do not name the socket that has it.

/** The socket of a connection, with TLS where there is TLS. */
export function socketOf(connection: SMTPConnection): Socket | undefined {
  return (connection as unknown as { _socket?: Socket | false })._socket || undefined;
}

/** The socket of a pool's one connection, where it is open. */
export function socketOfPool(pool: SMTPPool): Socket | undefined {
  const { _connections: connections } = pool as unknown as { _connections: { connection?: SMTPConnection }[] };
  const connection = connections.at(-1)?.connection;
  return connection && socketOf(connection);
}
