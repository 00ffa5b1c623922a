import { normaliseAddress } from '../../address.ts';

/**
 * Mailboxes of programs and lists. A reply there bounces, loops or reaches nobody (RFC 2142, RFC 3834 §2). Words that
 * people use alone, such as `owner` or `request`, are not matched.
 */
const machineMailboxes = [
  /^(?:mailer-?daemon|postmaster|hostmaster|abuse|bounces?|daemon|listserv|majordomo|notifications?|root|null)$/,
  // noreply, shop-noreply, no.reply, no_reply-7, do-not-reply, noreply2, auto-reply
  /^(?:.+[-_.])?(?:no|do[-_.]?not|auto)[-_.]?reply(?:[-_.\d].*)?$/,
  // Mailing lists: mail there subscribes somebody, or reaches the list's program (RFC 3834 §2, RFC 2142 §6).
  /^owner-./,
  /.-(?:request|owner|bounces?|subscribe|unsubscribe|join|leave|confirm)$/,
  // Senders rewritten on the way: SRS, and BATV, which uses each address once.
  /^srs[01][-+=]/,
  /^prvs=/,
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

const dotlessDomains = new Set(['gmail.com', 'googlemail.com']);

/**
 * The mailbox behind an address, for auto-replies only: without the part after a plus, and without Gmail's dots. An
 * attacker must not get one reply for each spelling of somebody's address.
 */
export function mailboxForLimits(address: string): string {
  const normal = normaliseAddress(address);
  const at = normal.lastIndexOf('@');
  const domain = normal.slice(at + 1);
  const local = normal.slice(0, at).replace(/(?<=.)\+.*$/, '');
  return dotlessDomains.has(domain) ? `${local.replaceAll('.', '')}@gmail.com` : `${local}@${domain}`;
}
