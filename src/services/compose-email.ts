import type { MailingContext } from '../context.ts';
import type { Mail } from '../mail/mailer.ts';
import type { ClaimedEmail } from './claim-due.ts';
import { openContent } from './message-content.ts';
import { openSenderAddress } from './sender-seals.ts';

/**
 * The mail of an email row. The auto-reply's composer is given nothing a visitor wrote.
 *
 * @throws {SealBroken} where a key is missing.
 */
export function composeEmail(context: MailingContext, email: ClaimedEmail): Mail {
  const { config, keyring, composer } = context;
  const { name, address } = config.mailFrom;
  const envelope = {
    id: email.id,
    from: name === undefined ? address : `${name} <${address}>`,
    internetMessageId: email.internetMessageId,
    date: email.createdAt,
  };
  const { receipt, receivedAt } = email.message;
  if (email.kind === 'auto-reply') {
    const to = openSenderAddress(keyring, email.sender);
    const siteName = name ?? new URL(config.publicUrl).hostname;
    return composer.autoReply(
      { ...envelope, to, replyTo: config.notifyTo[0] ?? address },
      { receipt, receivedAt, siteName, siteUrl: config.publicUrl },
    );
  }
  const content = openContent(keyring, email.message);
  return composer.notification(
    // The database's own check sees to it that a notification has a recipient.
    { ...envelope, to: email.recipient as string, replyTo: content.address },
    {
      receipt,
      receivedAt,
      formSlug: email.formSlug,
      sender: { address: content.address, ...(content.name !== undefined && { name: content.name }) },
      ...(content.subject !== undefined && { subject: content.subject }),
      message: content.text,
      extra: content.extra.map(([fieldName, value]) => ({ name: fieldName, value })),
      publicUrl: config.publicUrl,
      threadId: `<${email.sender.id}@${address.slice(address.lastIndexOf('@') + 1)}>`,
    },
  );
}
