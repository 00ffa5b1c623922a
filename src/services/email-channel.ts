import type { MailingContext } from '../context.ts';
import { listen } from '../database/listener.ts';
import type { Bell } from './bell.ts';

/** PostgreSQL's NOTIFY channel on which the delivery loops hear that an email was queued. */
export const emailChannel = 'ruffinweb_emails';

/** Rings at each email that any process queues, until disposed. */
export function listenForEmails(context: Pick<MailingContext, 'databaseUrl' | 'keyring'>, bell: Bell): AsyncDisposable {
  const { databaseUrl, keyring } = context;
  return listen({ databaseUrl, channel: emailChannel, sealingKey: keyring.newestId }, () => bell.ring());
}
