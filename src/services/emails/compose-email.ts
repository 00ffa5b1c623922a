import { domainOf, formatMailbox } from '../../address.ts';
import type { Config } from '../../config/config.ts';
import { catalogueOf } from '../../languages/languages.ts';
import type { Envelope } from '../../mail/compose/compose.ts';
import type { Mail } from '../../mail/mailer.ts';
import type { MailingContext } from '../../mailing-context.ts';
import type { Language } from '../../words.ts';
import type { ClaimedEmail, ClaimedMessage } from '../delivery/claim-due.ts';
import { summariseHeld } from '../delivery/summarise-held.ts';
import { listNamed, type NamedMessage } from '../digest.ts';
import { languageOf, ownersOf, recipientsOf } from '../forms/effective-settings.ts';
import { declaredFields, labelIn } from '../forms/fields.ts';
import type { Scope } from '../scope.ts';
import { type MessageContent, openContent, openOrNull, openSenderAddress } from '../sealed-values.ts';
import { unsubscribeToken } from '../senders/suppressions.ts';
import { composeReply } from './compose-reply.ts';

type ComposingContext = Pick<MailingContext, 'config' | 'keyring' | 'composer'>;
/** What a mail needs about a message, besides the text. */
type AboutMessage = Pick<ClaimedMessage, 'receipt' | 'receivedAt' | 'form'>;

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
  const { form, sender } = message;
  if (sender === null) throw new Error('the message has no sender to reply to');
  const to = openSenderAddress(keyring, sender);
  const unsubscribeUrl = `${config.publicUrl}/unsubscribe?token=${unsubscribeToken(keyring, to)}`;
  // Says which language and which owners; nothing of it is sent.
  const isNeeded = form.language === 'auto' || form.routes !== null;
  const content = isNeeded ? openOrNull(() => openContent(keyring, message)) : null;
  const owners = content === null ? ownersOf(config, form) : recipientsOf(config, form, content);
  return composer.autoReply(
    { ...envelope, to, replyTo: owners[0] ?? config.mailFrom.address },
    describeAutoReply(config, message, unsubscribeUrl, content?.language),
  );
}

/** @param page the language of the page that the message was posted from. */
export function describeAutoReply(config: Config, about: AboutMessage, unsubscribeUrl: string, page?: Language | null) {
  const { words } = about.form;
  return {
    ...describeMessage(config, about, page),
    ...{ ownSubject: words?.autoReplySubject, ownText: words?.autoReplyText },
    ...{ siteUrl: config.publicUrl, unsubscribeUrl },
  };
}

function composeNotice(
  { config, keyring, composer }: ComposingContext,
  envelope: Envelope,
  message: ClaimedMessage,
): Mail {
  return composer.notification(envelope, {
    ...describeNotice(config, message, openContent(keyring, message)),
    ...(message.sender && { threadId: `<${message.sender.id}@${domainOf(config.mailFrom.address)}>` }),
  });
}

/** A notification shows labels in place of the fields' names. */
export function describeNotice(config: Config, about: AboutMessage, content: MessageContent) {
  const { form } = about;
  const { address, name, subject, extra } = content;
  const common = describeMessage(config, about, content.language);
  const label = (field: string) => labelIn(form, field, common.language);
  const typeOf = (field: string) => declaredFields(form)?.find((it) => it.name === field)?.type;
  const sentences = catalogueOf(common.language).mail;
  // It is shown once, as the sender's address.
  const addressField = extra.find(([field, value]) => typeOf(field) === 'email' && value === address)?.[0] ?? 'email';
  return {
    ...common,
    ...{ ownSubject: form.words?.notificationSubject, publicUrl: config.publicUrl },
    ...{ sender: { address, name }, subject, message: content.text },
    labels: {
      ...{ name: label('name'), email: label(addressField), subject: label('subject') },
      message: typeOf('message') ? label('message') : null,
    },
    extra: extra.flatMap(([field, value]) => {
      const isTick = typeOf(field) === 'checkbox' && (value === 'yes' || value === 'no');
      return field === addressField ? [] : [{ name: label(field), value: isTick ? sentences[value] : value }];
    }),
  };
}

function describeMessage(config: Config, { receipt, receivedAt, form }: AboutMessage, page?: Language | null) {
  const siteName = config.mailFrom.name ?? new URL(config.publicUrl).hostname;
  const language = languageOf(config, form, page ?? undefined);
  return { language, receipt, receivedAt, siteName, formSlug: form.slug, formName: form.name };
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
    formName: form.name,
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
