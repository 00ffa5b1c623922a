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
  // 503, bad sequence of commands, says that the session went wrong, not that this mail is unwanted.
  const forGood = status >= 500 && status < 600 && status !== 503;
  const forNow = (status >= 400 && status < 500) || status === 503;

  // Only an answer can tell what became of a mail whose last byte has left. A connection that ends is none.
  if (progress.handedOver) return forGood ? 'refused' : forNow ? 'later' : 'unknown';

  const code = error.code ?? '';
  // "454 temporary authentication failure" is not a wrong password, "454 TLS not available" still no TLS.
  if (loginErrors.has(code)) return status >= 400 && status < 500 ? 'later' : 'broken';
  if (transportErrors.has(code) || transportCauses.test(String(error.originalCode ?? ''))) return 'broken';
  if (loginCodes.has(status)) return 'broken';
  if (forNow) return 'later';
  // Before MAIL FROM a refusal is about us (blocked address, no service here), and every mail would meet it.
  if (forGood) return progress.began ? 'refused' : 'broken';
  if (messageErrors.has(code) && !status) return 'refused';
  return 'later';
}

/** A reply may begin with any number; what is none of SMTP's means nothing, and has no place in a column for codes. */
function codeOf({ responseCode: code = 0 }: Failure): { code?: number } {
  return code >= 200 && code <= 599 ? { code } : {};
}

function describe(error: Failure): string {
  const cause = typeof error.originalCode === 'string' ? ` (${error.originalCode})` : '';
  return `${error.message}${cause}`;
}
