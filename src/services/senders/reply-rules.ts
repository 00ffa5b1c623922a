import { normaliseAddress } from '../../address.ts';

/** Mailboxes that programs answer from; a reply there comes back, or reaches nobody (RFC 2142, RFC 3834 §2). */
const roleMailboxes = new Set([
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
  'notification',
  'notifications',
  'root',
  'null',
]);

/** The same by their shape. What is the name of a person by itself, such as `owner` or `request`, is none. */
const machineMailboxes = [
  // noreply, shop-noreply, no.reply, no_reply-7, do-not-reply, noreply2, auto-reply
  /^(?:.+[-_.])?(?:no|do[-_.]?not|auto)[-_.]?reply(?:[-_.\d].*)?$/,
  // Mailing lists: whoever writes there subscribes somebody, or reaches the list's own program (RFC 3834 §2, RFC 2142 §6).
  /^owner-./,
  /.-(?:request|owner|bounces?|subscribe|unsubscribe|join|leave|confirm)$/,
  // Senders that were rewritten on the way of a mail: SRS, and BATV, which uses each once.
  /^srs[01][-+=]/,
  /^prvs=/,
];

/** Automatic mail to these could loop, or goes to nobody: role addresses, lists and programs, and our own. */
export function mayReplyTo(address: string, ownAddresses: readonly string[]): boolean {
  const normal = normaliseAddress(address);
  const whole = normal.slice(0, normal.lastIndexOf('@'));
  const local = whole.replace(/(?<=.)\+.*$/, '');
  if (roleMailboxes.has(local) || machineMailboxes.some((it) => it.test(local) || it.test(whole))) return false;
  const mailbox = mailboxForLimits(address);
  return !ownAddresses.some((own) => mailboxForLimits(own) === mailbox);
}

const dotlessDomains = new Set(['gmail.com', 'googlemail.com']);

/**
 * The mailbox behind an address, for auto-replies only: what follows a plus is dropped, and Gmail's dots.
 * Whoever wants to flood somebody's mailbox must not get one reply for each way to write its address.
 */
export function mailboxForLimits(address: string): string {
  const normal = normaliseAddress(address);
  const at = normal.lastIndexOf('@');
  const domain = normal.slice(at + 1);
  const local = normal.slice(0, at).replace(/(?<=.)\+.*$/, '');
  return dotlessDomains.has(domain) ? `${local.replaceAll('.', '')}@gmail.com` : `${local}@${domain}`;
}
