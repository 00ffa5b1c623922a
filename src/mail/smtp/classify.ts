import type { NodemailerError } from 'nodemailer';
import { isTlsError } from '../../network/tls-error.ts';
import type { AttemptOutcome } from '../../words.ts';
import type { Outcome } from '../mailer.ts';
import { cleanReply, readRetryAfter } from './reply.ts';

/** How far an attempt got, according to nodemailer's log. */
export interface Progress {
  /** A new connection was opened for this mail. */
  connected: boolean;
  /** EHLO or HELO was answered: a mail server is there. */
  greeted: boolean;
  /** Greeting, TLS and login are done. MAIL FROM is next. */
  began: boolean;
  /** All bytes, including the final dot, have been handed to the operating system. */
  handedOver: boolean;
}

type Failure = NodemailerError & { originalCode?: unknown };

const ourMeasures =
  /\b(?:daily|hourly|monthly|sending|submission|outgoing|outbound|senders?|rate|per[ -](?:second|minute|hour|day|month))\b/i;
const theirLimits = /\b(?:mailbox|inbox|storage|disk|size|length|full|receiv(?:e|es|ing))\b/i;

// RFC 3463: mailbox full, mail system full, too many recipients. Servers use them with 550, 552 and 554.
const fullCodes = /^5\d\d[ -]\s*#?5\.(?:2\.2|3\.1|5\.3)\b/m;
const tooBig = /^5\d\d[ -]#?5\.(?:2\.3|3\.4)\b|\bmessage size\b|\btoo (?:big|large|long)\b/i;
const fullTexts = [
  /\b(?:mail ?box|inbox|account|folder|storage|disk|system)(?: \S+){0,2} full\b/i,
  /\bfull (?:mail ?box|inbox)\b/i,
  /\bover[ -]?quota\b/i,
  /\bquota(?: \S+){0,3} (?:exceeded|reached|full)\b/i,
  /\b(?:mail ?box|storage)(?: size)?(?: limit)?(?: \S+){0,2} exceeded\b/i,
  /\bexceed(?:s|ed|ing)?(?: \S+){0,4} (?:quota|storage|space)\b/i,
  /\b(?:insufficient|not enough|out of)(?: \S+){0,2} (?:storage|space)\b/i,
  /\bno(?: \S+)? space (?:left|available)\b/i,
  /\breceiving (?:e-?)?mail (?:at a rate|too quickly)\b/i,
];

// Wrong or missing login, whichever command it answers (RFC 4954 §6).
const loginCodes = new Set([530, 534, 535, 538]);
const loginErrors = new Set(['EAUTH', 'ENOAUTH', 'EOAUTH2']);
const transportErrors = new Set(['ETLS', 'EREQUIRETLS', 'EDNS', 'ECONFIG', 'EPROXY']);
const unknownName = /^(?:ENOTFOUND$|EAI_)/;
// nodemailer rejected the mail.
const messageErrors = new Set(['EENVELOPE', 'EMESSAGE', 'ESTREAM', 'EFILEACCESS', 'EURLACCESS', 'EMAXRECIPIENTS']);

/** What a failed attempt means for the mail and for the queue. */
export function classify(error: Failure, progress: Progress): Outcome {
  const result = resultOf(error, progress);
  const reply = cleanReply(error.response || describe(error, progress));
  const retryAfterMs = result === 'later' && error.response ? readRetryAfter(reply) : undefined;
  const code = replyCode(error.response);
  return { result, ...(code && { code }), reply, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

/** The three digits that an SMTP reply begins with (RFC 5321 §4.2); 0 if it is not an SMTP reply. */
export function replyCode(reply = ''): number {
  return Number(/^[2-5]\d\d(?=[\s-]|$)/.exec(reply)?.[0] ?? 0);
}

function resultOf(error: Failure, progress: Progress): AttemptOutcome {
  const result = meaningFor(error, progress);
  // Before EHLO is answered, "not now" is said about the connection, whatever the mail.
  return result === 'later' && !progress.greeted ? 'away' : result;
}

function meaningFor(error: Failure, progress: Progress): AttemptOutcome {
  const status = replyCode(error.response);
  const answered = meaningOf(status, error.response ?? '', stageOf(error, progress));

  // After the last byte has left, only a reply tells the outcome.
  if (progress.handedOver) return answered ?? 'unknown';
  // The reply is not SMTP, or belongs to another command. The session is lost, but nothing was refused.
  if (error.response && status < 400) return 'later';

  const code = error.code ?? '';
  // "454 temporary authentication failure" is not a wrong password, but "454 TLS not available" still means no TLS.
  if (loginErrors.has(code)) return status >= 400 && status < 500 ? 'later' : 'broken';
  // The cause of an ESOCKET error.
  const cause = String(error.originalCode ?? '');
  if (transportErrors.has(code) || isTlsError(cause) || unknownName.test(cause)) return 'broken';
  if (answered) return answered;
  return messageErrors.has(code) ? 'refused' : 'later';
}

type Stage = 'before' | 'mail' | 'rcpt' | 'after';

/** A failure before or at MAIL FROM would be the same for every mail. */
function stageOf(error: Failure, { began }: Progress): Stage {
  if (!began) return 'before';
  if (error.command === 'MAIL FROM') return 'mail';
  return error.command === 'RCPT TO' ? 'rcpt' : 'after';
}

/** What a reply means; undefined if it is not a refusal. */
function meaningOf(status: number, reply: string, stage: Stage): AttemptOutcome | undefined {
  if (status < 400) return undefined;
  // 503 (bad sequence of commands) means that the session went wrong, not that this mail is unwanted. "550 4.7.1"
  // contradicts itself (550 is permanent, 4.7.1 temporary), so we retry.
  if (status < 500 || status === 503 || /^5\d\d[ -]#?4\.\d/.test(reply)) return 'later';
  if (stage !== 'before' && isOurLimit(reply)) return 'later';
  // Up to MAIL FROM, a refusal is about us (blocked address, no service, sender not allowed) and affects every mail.
  if (stage === 'before' || stage === 'mail') return 'broken';
  if (isFull(reply, stage)) return 'later';
  // A login that is required only now is about this recipient. Other mail must not wait for it.
  return loginCodes.has(status) ? 'later' : 'refused';
}

/**
 * Whether a permanent refusal means that we have sent too much for now. Limits of the recipient's mailbox or of the mail's
 * size use similar words and are excluded.
 */
function isOurLimit(reply: string): boolean {
  if (theirLimits.test(reply)) return false;
  if (/^5\d\d[ -]5\.4\.5\b/.test(reply)) return true;
  return (
    ourMeasures.test(reply) &&
    /\b(?:limits?|quotas?|rates?|max(?:imum)?)\b/i.test(reply) &&
    /exceed|reached|\bover\b/i.test(reply)
  );
}

/** Whether the recipient's server is full now, which may change. A mail that is too big stays too big. */
function isFull(reply: string, stage: Stage): boolean {
  if (fullCodes.test(reply)) return true;
  if (tooBig.test(reply)) return false;
  // An address in the reply may contain such words itself. Cut, because the time grows with the square of the length.
  const words = reply.slice(0, 2000).replace(/\s*\S+@\S+/g, '');
  // RFC 5321 §4.5.3.1.10: treat a 552 to RCPT as a 452.
  return fullTexts.some((it) => it.test(words)) || (stage === 'rcpt' && /^552(?![ -]#?5\.)/.test(reply));
}

function describe(error: Failure, { began }: Progress): string {
  // nodemailer's words for a closed connection are about retries, of which we allow none.
  if (/^Reached maximum number of retries/.test(error.message)) {
    return `the mail server closed the connection${began ? '' : ' before it greeted'}`;
  }
  const cause = typeof error.originalCode === 'string' ? ` (${error.originalCode})` : '';
  return `${error.message}${cause}`;
}

/** Reads from nodemailer's log (with `transactionLog`) when EHLO or HELO is answered. @returns whether this entry says so. */
export function watchGreeting(): (tnx: unknown, line: unknown) => boolean {
  let isAsked = false;
  return (tnx, line) => {
    if (tnx === 'client') isAsked = /^(?:EHLO|HELO)\b/.test(String(line));
    return isAsked && tnx === 'server' && /^2\d\d/.test(String(line));
  };
}
