import { domainOf, formatMailbox } from '../../address.ts';
import type { Envelope } from '../../mail/compose/compose.ts';
import type { Mail } from '../../mail/mailer.ts';
import type { MailingContext } from '../../mailing-context.ts';
import type { ClaimedEmail, ClaimedMessage } from '../delivery/claim-due.ts';
import { summariseHeld } from '../delivery/summarise-held.ts';
import { listNamed, type NamedMessage } from '../digest.ts';
import { ownersOf } from '../forms/effective-settings.ts';
import type { Scope } from '../scope.ts';
import { openContent, openOrNull, openSenderAddress } from '../sealed-values.ts';
import { unsubscribeToken } from '../senders/suppressions.ts';
import { composeReply } from './compose-reply.ts';

type ComposingContext = Pick<MailingContext, 'config' | 'keyring' | 'composer'>;

/** Composes the mail of an email row. An auto-reply contains nothing that a visitor wrote. @throws {SealBroken} */
export async function composeEmail(context: ComposingContext, scope: Scope, email: ClaimedEmail): Promise<Mail> {
  const envelope = {
    id: email.id,
    from: formatMailbox(context.config.mailFrom),
    // A check constraint requires it for all mail that does not go to a sender, whose `to` is replaced below.
    to: email.recipient as string,
    internetMessageId: email.internetMessageId,
    date: email.scheduledAt,
  };
  if (email.message === null) return context.composer.heldSummary(envelope, await summariseHeld(scope, email));
  if (email.digestId !== null) {
    const named = await listNamed(scope.em, email.digestId);
    if (named.length > 1) return composeDigest(context, envelope, email.message, named);
  }
  if (email.kind === 'reply') return await composeReply(context, scope, envelope, email.message, email);
  return email.kind === 'auto-reply'
    ? composeAutoReply(context, envelope, email.message)
    : composeNotice(context, envelope, email.message);
}

function composeAutoReply(
  { config, keyring, composer }: ComposingContext,
  envelope: Envelope,
  message: ClaimedMessage,
): Mail {
  if (message.sender === null) throw new Error('the message has no sender to reply to');
  const to = openSenderAddress(keyring, message.sender);
  return composer.autoReply(
    { ...envelope, to, replyTo: ownersOf(config, message.form)[0] ?? config.mailFrom.address },
    {
      receipt: message.receipt,
      receivedAt: message.receivedAt,
      siteName: config.mailFrom.name ?? new URL(config.publicUrl).hostname,
      siteUrl: config.publicUrl,
      unsubscribeUrl: `${config.publicUrl}/unsubscribe?token=${unsubscribeToken(keyring, to)}`,
    },
  );
}

function composeNotice(
  { config, keyring, composer }: ComposingContext,
  envelope: Envelope,
  message: ClaimedMessage,
): Mail {
  const content = openContent(keyring, message);
  return composer.notification(envelope, {
    receipt: message.receipt,
    receivedAt: message.receivedAt,
    formSlug: message.form.slug,
    ...(message.form.name !== null && { formName: message.form.name }),
    sender: {
      ...(content.address !== undefined && { address: content.address }),
      ...(content.name !== undefined && { name: content.name }),
    },
    ...(content.subject !== undefined && { subject: content.subject }),
    message: content.text,
    extra: content.extra.map(([fieldName, value]) => ({ name: fieldName, value })),
    publicUrl: config.publicUrl,
    ...(message.sender && { threadId: `<${message.sender.id}@${domainOf(config.mailFrom.address)}>` }),
  });
}

function composeDigest(
  { config, keyring, composer }: ComposingContext,
  envelope: Envelope,
  message: ClaimedMessage,
  named: readonly NamedMessage[],
): Mail {
  const { form } = message;
  return composer.digest(envelope, {
    count: named[0]?.count ?? 0,
    formSlug: form.slug,
    ...(form.name !== null && { formName: form.name }),
    messages: named.map((it) => {
      // Only its own message must be readable: one of the others must not keep the rest back.
      const content = it.id === message.id ? openContent(keyring, it) : openOrNull(() => openContent(keyring, it));
      return {
        receipt: it.receipt,
        receivedAt: new Date(it.received_ms),
        name: content?.name ?? '',
        address: content?.address ?? '',
      };
    }),
    publicUrl: config.publicUrl,
  });
}
