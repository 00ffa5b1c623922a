import { normaliseAddress } from '../address.ts';

/** Mailboxes that programs answer from; a reply there comes back, or reaches nobody (RFC 2142, RFC 3834 §2). */
const roleMailboxes = new Set([
  'noreply',
  'no-reply',
  'no_reply',
  'donotreply',
  'do-not-reply',
  'do_not_reply',
  'mailer-daemon',
  'mailerdaemon',
  'postmaster',
  'hostmaster',
  'abuse',
  'bounce',
  'bounces',
  'daemon',
  'listserv',
  'majordomo',
  'root',
  'null',
]);

/** Automatic mail to these could loop, or goes to nobody: role addresses, and our own. */
export function mayReplyTo(address: string, ownAddresses: readonly string[]): boolean {
  const normal = normaliseAddress(address);
  const local = normal.slice(0, normal.lastIndexOf('@')).replace(/\+.*$/, '');
  return !roleMailboxes.has(local) && !ownAddresses.some((own) => normaliseAddress(own) === normal);
}

const dotlessDomains = new Set(['gmail.com', 'googlemail.com']);

/**
 * The mailbox behind an address, for counting replies only: what follows a plus is dropped, and Gmail's dots.
 * Whoever wants to flood somebody's mailbox must not get one reply for each way to write its address.
 */
export function mailboxForLimits(address: string): string {
  const normal = normaliseAddress(address);
  const at = normal.lastIndexOf('@');
  const domain = normal.slice(at + 1);
  const local = normal.slice(0, at).replace(/(?<=.)\+.*$/, '');
  return dotlessDomains.has(domain) ? `${local.replaceAll('.', '')}@gmail.com` : `${local}@${domain}`;
}
