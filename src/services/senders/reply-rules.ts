import { normaliseAddress } from '../../address.ts';
import { mailboxForLimits } from './mailboxes.ts';

/**
 * Mailboxes of programs and lists. A reply there bounces, loops or reaches nobody (RFC 2142, RFC 3834 §2). Words that
 * people use alone, such as `owner` or `request`, are not matched.
 */
const machineMailboxes = [
  /^(?:mailer-?daemon|postmaster|hostmaster|abuse|bounces?|notifications?|daemon|root|null|nobody|www-data|apache|uucp|cron)$/,
  /^(?:listserv|listmaster|majordomo|mailman|sympa|ezmlm|mlmmj|(?:un)?subscribe|signoff)$/,
  // noreply, shop-noreply, no.reply, no_reply-7, do-not-reply, noreply2, auto-reply
  /^(?:.+[-_.])?(?:no|do[-_.]?not|auto)[-_.]?reply(?:[-_.\d].*)?$/,
  // Mailing lists: mail there subscribes somebody, or reaches the list's program (RFC 3834 §2, RFC 2142 §6). Some lists
  // write a plus where others write a hyphen.
  /^(?:owner|bounces?|(?:un)?subscribe|join|signoff)[-+]./,
  /.[-+](?:requests?|owners?|join|leave|help|on|off|sub|unsub|signoff)$/,
  /.[-+](?:bounces?|(?:un|re)?subscribe|confirm|confsub|confunsub)(?:[-+=.\d].*)?$/,
  // Senders rewritten on the way: SRS, BATV, which uses each address once, and VERP, which ends in another address.
  /^srs[01][-+=]/,
  /^prvs=/,
  /=[^=]+\.[a-z]+$/,
  // Some mail servers read a route to another address in these, an option of a program, or an encoded address.
  /^-|[%!|/]|=\?/,
];

/** False for programs, mailing lists and our own addresses. */
export function mayReplyTo(address: string, ownAddresses: readonly string[]): boolean {
  const normal = normaliseAddress(address);
  const whole = normal.slice(0, normal.lastIndexOf('@'));
  const local = whole.replace(/(?<=.)\+.*$/, '');
  if (machineMailboxes.some((it) => it.test(local) || it.test(whole))) return false;
  const mailbox = mailboxForLimits(address);
  return !ownAddresses.some((own) => mailboxForLimits(own) === mailbox);
}
