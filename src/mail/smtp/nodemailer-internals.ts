import type { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import * as base64 from 'nodemailer/lib/base64';
import MailComposer from 'nodemailer/lib/mail-composer';
import type MimeNode from 'nodemailer/lib/mime-node';
import * as quotedPrintable from 'nodemailer/lib/qp';
import SMTPConnection from 'nodemailer/lib/smtp-connection';
import SMTPPool from 'nodemailer/lib/smtp-pool';

// Everything we use of nodemailer that is not in its documented API, with the reason. Check it at each upgrade.

// SMTPConnection: a walk speaks SMTP without a transport.
// SMTPPool: a lane is a pool of one connection; `createTransport` hides the pool that we have to close and to watch.
// MailComposer: `sendMail` accepts no finished mail, and we need the same bytes at every attempt.
// The encoders: for texts they give the same bytes as `MimeNode.build`, which goes through a dozen streams.
export { base64, MailComposer, type MimeNode, quotedPrintable, SMTPConnection, SMTPPool };

/** `_socket`: the only way to remove nodemailer's silence limit after the final dot, and to read the certificate. */
export function socketOf(connection: SMTPConnection): Socket | undefined {
  return (connection as unknown as { _socket?: Socket | false })._socket || undefined;
}

/** `_connections`: the pool has no public way to its connection, whose silence limit has to be removed too. */
export function socketOfPool(pool: SMTPPool): Socket | undefined {
  const { _connections: connections } = pool as unknown as { _connections: { connection?: SMTPConnection }[] };
  const connection = connections.at(-1)?.connection;
  return connection && socketOf(connection);
}

/** `_sendCommand` and `_responseActions`: there is no public way to send MAIL FROM without a mail. */
export function sendCommand(connection: SMTPConnection, line: string, onReply: (reply: string) => void): void {
  const speaking = connection as unknown as {
    _sendCommand(line: string): void;
    readonly _responseActions: ((reply: string) => void)[];
  };
  speaking._responseActions.push(onReply);
  speaking._sendCommand(line);
}

/** Replaces nodemailer's own message, which would parse the finished mail and build it again. */
export function builtMail(
  envelope: { readonly from: string; readonly to: readonly string[] },
  raw: Buffer,
  signal: AbortSignal,
  mayStart: (() => Promise<boolean>) | undefined,
): Parameters<SMTPPool['send']>[0] {
  const message = {
    getEnvelope: () => ({ from: envelope.from, to: [...envelope.to] }),
    messageId: () => '',
    getHeader: () => '',
    createReadStream: () => sourceOf(raw, mayStart),
  };
  return { data: { signal }, message } as unknown as Parameters<SMTPPool['send']>[0];
}

/** The two members of a stream that nodemailer uses. It calls `pipe` when the server waits for the text. */
function sourceOf(raw: Buffer, mayStart: (() => Promise<boolean>) | undefined) {
  return {
    readableDidRead: false,
    pipe(target: Writable) {
      this.readableDidRead = true;
      if (mayStart === undefined) target.end(raw);
      else void mayStart().then((may) => may && target.end(raw));
    },
  };
}
