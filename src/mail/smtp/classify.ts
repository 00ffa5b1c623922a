import type { NodemailerError } from 'nodemailer';
import type { AttemptOutcome } from '../../words.ts';
import type { Outcome } from '../mailer.ts';
import { cleanReply, readRetryAfter } from './reply.ts';

/** How far a try got, as told by nodemailer's log. */
export interface Progress {
  /** A connection was opened for this mail, rather than one from before used again. */
  connected: boolean;
  /** Greeting, TLS and login are done; MAIL FROM is next. */
  began: boolean;
  /** Every byte including the final dot has been handed to the operating system. */
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
// What Node says underneath an ESOCKET when a certificate or a handshake is at fault, or a name does not resolve.
const transportCauses =
  /^(ERR_TLS_|ERR_SSL_|CERT_|CRL_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERROR_IN_|INVALID_|PATH_LENGTH_|HOSTNAME_MISMATCH|EPROTO$|ENOTFOUND$|EAI_)/;
// The library itself did not like the mail.
const messageErrors = new Set(['EENVELOPE', 'EMESSAGE', 'ESTREAM', 'EFILEACCESS', 'EURLACCESS', 'EMAXRECIPIENTS']);

/** What a failed try means for the mail and for the queue. */
export function classify(error: Failure, progress: Progress): Outcome {
  const result = resultOf(error, progress);
  const reply = cleanReply(error.response || describe(error));
  const retryAfterMs = result === 'later' && error.response ? readRetryAfter(reply) : undefined;
  const code = replyCode(error.response);
  return {
    result,
    ...(code && { code }),
    reply,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** The three digits that an SMTP reply begins with (RFC 5321 §4.2); 0 for anything else that a server may say. */
export function replyCode(reply = ''): number {
  return Number(/^[2-5]\d\d(?=[\s-]|$)/.exec(reply)?.[0] ?? 0);
}

function resultOf(error: Failure, progress: Progress): AttemptOutcome {
  const status = replyCode(error.response);
  const answered = meaningOf(status, error.response ?? '', stageOf(error, progress));

  // Only an answer can tell what became of a mail whose last byte has left. A connection that ends is none.
  if (progress.handedOver) return answered ?? 'unknown';
  // The reply is not SMTP, or not one to this command. The session is lost, but nobody refused the mail or the login.
  if (error.response && status < 400) return 'later';

  const code = error.code ?? '';
  // "454 temporary authentication failure" is not a wrong password, "454 TLS not available" still no TLS.
  if (loginErrors.has(code)) return status >= 400 && status < 500 ? 'later' : 'broken';
  if (transportErrors.has(code) || transportCauses.test(String(error.originalCode ?? ''))) return 'broken';
  if (answered) return answered;
  return messageErrors.has(code) ? 'refused' : 'later';
}

type Stage = 'before' | 'mail' | 'rcpt' | 'after';

/** MAIL FROM says the same for every mail; what comes before it does so the more. */
function stageOf(error: Failure, { began, handedOver }: Progress): Stage {
  if (handedOver) return 'after';
  if (!began) return 'before';
  if (error.command === 'MAIL FROM') return 'mail';
  return error.command === 'RCPT TO' ? 'rcpt' : 'after';
}

/** What an answer means, if it is one to a mail. */
function meaningOf(status: number, reply: string, stage: Stage): AttemptOutcome | undefined {
  if (status < 400) return undefined;
  // 503, bad sequence of commands, says that the session went wrong, not that this mail is unwanted.
  // "550 4.7.1" contradicts itself. Trying again is the safe reading.
  if (status < 500 || status === 503 || /^5\d\d[ -]#?4\.\d/.test(reply)) return 'later';
  if (stage !== 'before' && isOurLimit(reply)) return 'later';
  // Up to MAIL FROM a refusal is about us (blocked address, no service here, not for this sender), and every mail would meet it.
  if (stage === 'before' || stage === 'mail') return 'broken';
  if (isFull(reply, stage)) return 'later';
  // A login that is asked for so late is asked for by one recipient's sake: the others must not wait for it.
  return loginCodes.has(status) ? 'later' : 'refused';
}

/**
 * Whether a refusal says that we have sent too much for now: some servers say so for good. A recipient's mailbox that is
 * full, or a mail that is too big, are exceeded, too, and not ours.
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

/** Whether the recipient's server has no room now but may have some tomorrow. A mail that is too big stays too big. */
function isFull(reply: string, stage: Stage): boolean {
  if (fullCodes.test(reply)) return true;
  if (tooBig.test(reply)) return false;
  // RFC 5321 §4.5.3.1.10: treat a 552 to RCPT as a 452.
  // An address in the reply may contain such words itself.
  const words = reply.replace(/\s*\S+@\S+/g, '');
  return fullTexts.some((it) => it.test(words)) || (stage === 'rcpt' && /^552(?![ -]#?5\.)/.test(reply));
}

function describe(error: Failure): string {
  const cause = typeof error.originalCode === 'string' ? ` (${error.originalCode})` : '';
  return `${error.message}${cause}`;
}
