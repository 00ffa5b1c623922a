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

/** `_onData`, `_responseQueue`: nodemailer limits the length of a reply, but not how many empty lines wait to be skipped. */
const reading = SMTPConnection.prototype as unknown as {
  _onData(chunk: Buffer): void;
  readonly _responseQueue: readonly string[];
  _onResponseTooLarge(): void;
};
const onData = reading._onData;
reading._onData = function (chunk) {
  onData.call(this, chunk);
  if (this._responseQueue.length > 1000) this._onResponseTooLarge();
};

/** `_socket`: the only way to remove nodemailer's silence limit after the final dot, and to read the certificate. */
export function socketOf(connection: SMTPConnection | undefined): Socket | undefined {
  return (connection as unknown as { _socket?: Socket | false } | undefined)?._socket || undefined;
}

/** `_connections`: the pool has no public way to its connection. */
export function connectionOf(pool: SMTPPool): SMTPConnection | undefined {
  const { _connections: connections } = pool as unknown as { _connections: { connection?: SMTPConnection }[] };
  return connections.at(-1)?.connection;
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

/**
 * `_responseQueue` and `_remainder`: replies that were not read yet. Nodemailer also sends the text after a 2xx, and takes any
 * reply that came before it for the one to the final dot. A server that is one reply ahead would then lose mail.
 *
 * @returns what the server said, unless it asked for the text and nothing else.
 */
export function findOutOfStep(connection: SMTPConnection): string | undefined {
  const { _responseQueue: queue, _remainder: rest } = connection as unknown as {
    readonly _responseQueue: readonly string[];
    readonly _remainder: string;
  };
  const unread = [...queue, rest].join(' ').trim();
  const last = String(connection.lastServerResponse);
  // A refusal may come early.
  return last.startsWith('3') && /^(?:$|[45]\d\d[ -])/.test(unread) ? undefined : `${last} ${unread}`;
}

/** Replaces nodemailer's own message, which would parse the finished mail and build it again. */
export function builtMail(
  envelope: { readonly from: string; readonly to: readonly string[] },
  raw: Buffer,
  signal: AbortSignal,
  mayStart: () => Promise<boolean>,
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
export function sourceOf(raw: Buffer, mayStart: () => Promise<boolean>) {
  return {
    readableDidRead: false,
    pipe(target: Writable) {
      this.readableDidRead = true;
      void mayStart().then((may) => may && target.end(raw));
    },
  };
}
