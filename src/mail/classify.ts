import type { NodemailerError } from 'nodemailer';
import type { Outcome, Result } from './mailer.ts';
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
  return {
    result,
    ...codeOf(error),
    reply,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

function resultOf(error: Failure, progress: Progress): Result {
  const status = error.responseCode ?? 0;
  const answered = meaningOf(status, error.response ?? '', stageOf(error, progress));

  // Only an answer can tell what became of a mail whose last byte has left. A connection that ends is none.
  if (progress.handedOver) return answered ?? 'unknown';

  const code = error.code ?? '';
  // "454 temporary authentication failure" is not a wrong password, "454 TLS not available" still no TLS.
  if (loginErrors.has(code)) return status >= 400 && status < 500 ? 'later' : 'broken';
  if (transportErrors.has(code) || transportCauses.test(String(error.originalCode ?? ''))) return 'broken';
  if (answered) return answered;
  if (messageErrors.has(code) && !status) return 'refused';
  return 'later';
}

/** MAIL FROM says the same for every mail; what comes before it does so the more. */
function stageOf(error: Failure, { began, handedOver }: Progress): 'before' | 'mail' | 'after' {
  if (handedOver) return 'after';
  if (!began) return 'before';
  return error.command === 'MAIL FROM' ? 'mail' : 'after';
}

/** What an answer means, if it is one to a mail. */
function meaningOf(status: number, reply: string, stage: 'before' | 'mail' | 'after'): Result | undefined {
  // 503, bad sequence of commands, says that the session went wrong, not that this mail is unwanted.
  if ((status >= 400 && status < 500) || status === 503) return 'later';
  if (status < 500 || status > 599) return undefined;
  if (stage !== 'before' && isOurLimit(reply)) return 'later';
  // Up to MAIL FROM a refusal is about us (blocked address, no service here, not for this sender), and every mail would meet it.
  if (stage !== 'after') return 'broken';
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

/** A reply may begin with any number; what is none of SMTP's means nothing, and has no place in a column for codes. */
function codeOf({ responseCode: code = 0 }: Failure): { code?: number } {
  return code >= 200 && code <= 599 ? { code } : {};
}

function describe(error: Failure): string {
  const cause = typeof error.originalCode === 'string' ? ` (${error.originalCode})` : '';
  return `${error.message}${cause}`;
}
