import type { Config } from '../../config/config.ts';
import type { Context } from '../../context.ts';
import type { Email } from '../../entities/index.ts';
import type { Outcome, Step } from '../../mail/mailer.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { newEmailIdentity } from '../outbox.ts';
import { openScope } from '../scope.ts';
import { openContent, openOrNull } from '../sealed-values.ts';
import { composeEmail } from './compose-email.ts';
import { findEmail } from './emails.ts';

/** A mail as its recipient gets it: what is sent at the next try, or was at the last one. */
export interface MailView {
  headers: [name: string, value: string][];
  text: string;
  html: string;
  /** Who it tells of; null where it names nobody. */
  senderName: string | null;
}

/**
 * Composes the mail of an email as a worker would, with today's templates and settings, and sends nothing.
 *
 * @throws {Problem} email-unknown
 * @throws {SealBroken} where a key is missing.
 */
export async function showMail(context: Context & Pick<MailingContext, 'composer'>, id: string): Promise<MailView> {
  const scope = openScope(context);
  const email = await findEmail(scope, id);
  await scope.em.populate(email as Email, ['message.form', 'message.sender']);
  const { message } = email;
  const mail = await composeEmail(context, scope, {
    id: email.id,
    kind: email.kind,
    leaseToken: '',
    tries: email.tries,
    internetMessageId: email.internetMessageId,
    createdAt: email.createdAt,
    scheduledAt: email.scheduledAt(),
    recipient: email.recipient ?? null,
    message:
      message == null
        ? null
        : {
            id: message.id,
            receipt: message.receipt,
            content: Buffer.from(message.content),
            receivedAt: message.receivedAt,
            sender: message.sender && { id: message.sender.id, address: Buffer.from(message.sender.address) },
            form: {
              slug: message.form.slug,
              name: message.form.name ?? null,
              recipients: message.form.recipients ?? null,
            },
          },
  });
  const optional = (name: string, value: string | undefined): [string, string][] =>
    value === undefined ? [] : [[name, value]];
  return {
    headers: [
      ['From', mail.from],
      ['To', mail.to],
      ...optional('Reply-To', mail.replyTo),
      ['Subject', mail.subject],
      ['Message-ID', mail.internetMessageId],
      ['Date', mail.date.toUTCString().replace('GMT', '+0000')],
      ...optional('In-Reply-To', mail.inReplyTo),
      ...optional('References', mail.references?.join(' ')),
      ...Object.entries(mail.headers),
    ],
    text: mail.text,
    html: mail.html,
    senderName: message == null ? null : openOrNull(() => openContent(context.keyring, message).name ?? null),
  };
}

/** How the test mail went. */
export interface TestedMail {
  /** Whether the mail server took it; whether it arrives is for the recipient to see. */
  outcome: Outcome;
  steps: Step[];
}

/**
 * Sends one mail on the way of every mail, outside the queue and whether that is paused or not.
 *
 * @param to as `readRecipient` reads it.
 */
export async function testMail(
  parts: Pick<MailingContext, 'mailer' | 'composer'> & { config: Config; now: () => Date },
  to: string,
  onStep: (step: Step) => void,
): Promise<TestedMail> {
  const { config } = parts;
  const { name, address: from } = config.mailFrom;
  const mail = parts.composer.test(
    {
      ...newEmailIdentity(config),
      from: name === undefined ? from : `${name} <${from}>`,
      to,
      date: parts.now(),
    },
    { publicUrl: config.publicUrl },
  );
  const steps: Step[] = [];
  const { outcome } = await parts.mailer.walk(mail, (step) => {
    steps.push(step);
    onStep(step);
  });
  return { outcome, steps };
}
