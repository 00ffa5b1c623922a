import { isPlainAddress, type Mailbox, readMailbox } from '../address.ts';
import type { Mail, Outcome } from './mailer.ts';
import { base64, MailComposer, type MimeNode, quotedPrintable } from './smtp/nodemailer-internals.ts';

/** A mail as it is sent: the same bytes at every attempt. */
export interface Built {
  readonly raw: Buffer;
  readonly envelope: { readonly from: string; readonly to: readonly [string] };
}

/** One of our mails cannot be sent. This is found before anything goes over the network. */
export class UnsendableMail extends Error {
  readonly outcome: Outcome;

  constructor(result: 'refused' | 'broken', reply: string) {
    super(reply);
    this.outcome = { result, reply };
  }
}

// RFC 5322 §2.1.1; servers refuse longer lines.
const maxLineLength = 998;
const messageId = /^<[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,200}@[A-Za-z0-9.-]{1,200}>$/;
const ownHeaders = new Set(
  'from to cc bcc sender reply-to subject date message-id references in-reply-to mime-version'.split(' '),
);

/**
 * Builds the MIME form. First everything is checked: nodemailer also accepts lists of recipients, files and web addresses
 * instead of a string.
 *
 * @throws {UnsendableMail}
 */
export function buildMime(mail: Mail): Built {
  const from = readMailbox(mail.from);
  if (!from) throw new UnsendableMail('broken', 'the From address is not "address" or "Name <address>"');
  checkMail(mail);
  // RFC 5322 §2.3: each line ends with CR and LF.
  const raw = Buffer.from(compile(mail, from).replaceAll(/(?<!\r)\n/g, '\r\n'), 'latin1');
  checkLines(raw);
  return { raw, envelope: { from: from.address, to: [mail.to] } };
}

function checkMail(mail: Mail): void {
  const faults = [
    !isPlainAddress(mail.to) && 'the recipient is not one plain address',
    ![mail.replyTo ?? []].flat().every(isPlainAddress) && 'the Reply-To is not a plain address',
    /[\p{Cc}\p{Zl}\p{Zp}]/u.test(mail.subject) && 'the subject contains control characters',
    ![mail.internetMessageId, ...(mail.references ?? []), mail.inReplyTo ?? mail.internetMessageId].every((id) =>
      messageId.test(id),
    ) && 'a Message-ID is malformed',
    (typeof mail.text !== 'string' || typeof mail.html !== 'string') && 'the text is not a string',
    ...Object.entries(mail.headers).map(
      ([name, value]) =>
        (!/^[A-Za-z][A-Za-z0-9-]*$/.test(name) ||
          ownHeaders.has(name.toLowerCase()) ||
          !/^[\x20-\x7e]*$/.test(value)) &&
        `the header ${JSON.stringify(name)} is not allowed or not plain ASCII`,
    ),
  ].filter((fault) => fault !== false);
  if (faults.length) throw new UnsendableMail('refused', `not sendable: ${faults.join('; ')}`);
}

function compile(mail: Mail, from: Mailbox): string {
  try {
    const composer = new MailComposer({
      from: { name: from.name ?? '', address: from.address },
      to: { name: '', address: mail.to },
      ...(mail.replyTo !== undefined && { replyTo: [mail.replyTo].flat().map((address) => ({ name: '', address })) }),
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
      messageId: mail.internetMessageId,
      date: mail.date,
      ...(mail.inReplyTo !== undefined && { inReplyTo: mail.inReplyTo }),
      ...(mail.references?.length && { references: [...mail.references] }),
      headers: { ...mail.headers },
      // Made from the id, so that two copies of a mail are the same bytes.
      baseBoundary: mail.id.replace(/[^A-Za-z0-9-]/g, ''),
      disableFileAccess: true,
      disableUrlAccess: true,
    });
    return written(composer.compile());
  } catch (error) {
    throw new UnsendableMail('refused', `could not be built: ${(error as Error).message}`);
  }
}

/**
 * Writes a mail with all its parts, one character a byte. The bytes are those of nodemailer's `build`, which needs much more
 * processor time, because it also streams files and web pages (decision 72).
 */
export function written(mail: MimeNode): string {
  const text = partOf(mail);
  return text.endsWith('\n') ? text : `${text}\r\n`;
}

function partOf(node: MimeNode): string {
  let text = `${node.buildHeaders()}\r\n\r\n${contentOf(node)}`;
  for (const [index, child] of node.childNodes.entries()) {
    text += `${index > 0 ? '\r\n' : ''}--${node.boundary}\r\n${partOf(child)}`;
  }
  if (node.childNodes.length > 0) text += `\r\n--${node.boundary}--\r\n`;
  return text;
}

function contentOf(node: MimeNode): string {
  const content = node.content || '';
  // A later nodemailer may store the text differently. Fail then, or the mail would be empty.
  if (typeof content !== 'string') throw new TypeError('a part of the mail is not text');
  const encoding = node.getHeader('Content-Transfer-Encoding');
  if (encoding === 'quoted-printable') return quotedPrintable.wrap(quotedPrintable.encode(content));
  if (encoding === 'base64') return base64.wrap(base64.encode(content));
  return content;
}

function checkLines(raw: Buffer): void {
  for (let start = 0; start < raw.length; ) {
    const end = raw.indexOf('\n', start);
    const next = end < 0 ? raw.length : end + 1;
    if (next - start > maxLineLength + 2)
      throw new UnsendableMail('refused', 'not sendable: a line is longer than 998 octets');
    start = next;
  }
}
