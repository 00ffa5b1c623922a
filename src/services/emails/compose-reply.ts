import { domainOf } from '../../address.ts';
import type { Envelope } from '../../mail/compose/compose.ts';
import type { Mail } from '../../mail/mailer.ts';
import type { MailingContext } from '../../mailing-context.ts';
import type { ClaimedEmail, ClaimedMessage } from '../delivery/claim-due.ts';
import { isNamedOnly } from '../digest.ts';
import { recipientsOf } from '../forms/effective-settings.ts';
import type { Scope } from '../scope.ts';
import { openContent, openReply, openSenderAddress } from '../sealed-values.ts';

/** Composes a reply, or an owner's copy of it. It has no template: a person wrote it. @throws {SealBroken} */
export async function composeReply(
  { config, keyring, composer }: Pick<MailingContext, 'config' | 'keyring' | 'composer'>,
  scope: Scope,
  envelope: Envelope,
  message: ClaimedMessage,
  { id, content, recipient: owner }: Pick<ClaimedEmail, 'id' | 'content' | 'recipient'>,
): Promise<Mail> {
  if (message.sender === null) throw new Error('the message has no sender to reply to');
  const sender = openSenderAddress(keyring, message.sender);
  const { autoReply, notification } = await findAnswered(scope, message.id, owner);
  // The notification is in the thread of its sender: see `composeNotice`.
  const thread = notification && `<${message.sender.id}@${domainOf(config.mailFrom.address)}>`;
  const written = openContent(keyring, message);
  const { subject } = written;
  return composer.reply(
    {
      ...envelope,
      to: owner ?? sender,
      replyTo: owner === null ? [...recipientsOf(config, message.form, written)] : sender,
    },
    {
      receipt: message.receipt,
      ...(subject !== undefined && { subject }),
      text: openReply(keyring, { id, content }) ?? '',
      answers: [thread, autoReply, notification].filter((it) => it != null),
      ...(owner !== null && { copyOf: sender }),
    },
  );
}

/** The Message-IDs of the sent auto-reply, and of the notification or digest that told this owner about the message. */
async function findAnswered({ em }: Scope, messageId: string, owner: string | null) {
  const [row] = await em.execute<{ autoReply: string | null; notification: string | null }[]>(
    `select
       (select internet_message_id from emails
        where message_id = ? and kind = 'auto-reply' and state = 'sent' order by id desc limit 1) as "autoReply",
       (select coalesce(digest.internet_message_id, told.internet_message_id)
        from emails as told left join emails as digest on ${isNamedOnly('told')} and digest.digest_id = told.digest_id
          and digest.recipient = told.recipient and not ${isNamedOnly('digest')}
        where told.message_id = ? and told.kind = 'notification' and told.recipient = ?
        order by coalesce(digest.state, told.state) = 'sent' desc, told.id desc limit 1) as notification`,
    [messageId, messageId, owner],
  );
  return row ?? { autoReply: null, notification: null };
}
