import type { MailingContext } from '../context.ts';
import { listen } from '../database/listener.ts';
import type { Bell } from './bell.ts';
import { emailChannel } from './outbox.ts';

/** Rings at each email that any process queues, until disposed. */
export function listenForEmails(context: Pick<MailingContext, 'databaseUrl' | 'keyring'>, bell: Bell): AsyncDisposable {
  const { databaseUrl, keyring } = context;
  return listen({ databaseUrl, channel: emailChannel, sealingKey: keyring.newestId }, () => bell.ring());
}
