import { formatMailbox } from '../../address.ts';
import type { Config } from '../../config/config.ts';
import type { Context } from '../../context.ts';
import type { Email } from '../../entities/index.ts';
import type { Step } from '../../mail/mailer.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { summariseHeld } from '../delivery/summarise-held.ts';
import { listNamed } from '../digest.ts';
import { newEmailIdentity } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { openContent, openOrNull } from '../sealed-values.ts';
import { composeEmail } from './compose-email.ts';
import { findEmail } from './emails.ts';

/**
 * Composes the mail of an email as a worker would, with the current templates and settings, and sends nothing.
 *
 * @param given an id, or an email that is loaded with its message and perhaps not stored yet.
 * @throws {Problem} email-unknown
 * @throws {SealBroken} if a key is missing.
 */
export async function showMail(
  context: Context & Pick<MailingContext, 'composer'>,
  scope: Scope,
  given: string | Email,
) {
  const email = typeof given === 'string' ? ((await findEmail(scope, given)) as Email) : given;
  if (typeof given === 'string') await scope.em.populate(email, ['message.form', 'message.sender']);
  const { message } = email;
  const digestId = email.isDigest() ? (email.digestId ?? null) : null;
  const told = digestId !== null ? await listNamed(scope.em, digestId) : message == null ? [] : [message];
  const claimed = {
    id: email.id,
    kind: email.kind,
    leaseToken: '',
    tries: email.tries,
    internetMessageId: email.internetMessageId,
    createdAt: email.createdAt,
    scheduledAt: email.scheduledAt(),
    recipient: email.recipient ?? null,
    digestId,
    content: email.content == null ? null : Buffer.from(email.content),
    message:
      message == null
        ? null
        : {
            id: message.id,
            receipt: message.receipt,
            content: Buffer.from(message.content),
            receivedAt: message.receivedAt,
            sender:
              message.sender == null ? null : { id: message.sender.id, address: Buffer.from(message.sender.address) },
            form: message.form,
          },
  };
  const mail = await composeEmail(context, scope, claimed);
  const names =
    message == null
      ? (await summariseHeld(scope, claimed)).messages.map((it) => it.written?.name ?? '')
      : told.map((it) => openOrNull(() => openContent(context.keyring, it).name) ?? '');
  const optional = (name: string, value: string | undefined): [string, string][] =>
    value === undefined ? [] : [[name, value]];
  const headers: [name: string, value: string][] = [
    ['From', mail.from],
    ['To', mail.to],
    ...optional('Reply-To', mail.replyTo && [mail.replyTo].flat().join(', ')),
    ['Subject', mail.subject],
    ['Message-ID', mail.internetMessageId],
    ['Date', mail.date.toUTCString().replace('GMT', '+0000')],
    ...optional('In-Reply-To', mail.inReplyTo),
    ...optional('References', mail.references?.join(' ')),
    ...Object.entries(mail.headers),
  ];
  return {
    headers,
    text: mail.text,
    html: mail.html,
    /** The names of the visitors who wrote its messages, in one text; summaries break up web addresses in them. */
    senderNames: names.join(' ').replace(/[.:/]+/g, ' '),
  };
}

export type TestedMail = Awaited<ReturnType<typeof testMail>>;

/** Sends one test mail past the queue, also while that is paused. @param to from `readRecipient`. */
export async function testMail(
  parts: Pick<MailingContext, 'mailer' | 'composer'> & { config: Config; now: () => Date },
  to: string,
  onStep: (step: Step) => void,
) {
  const { config } = parts;
  const mail = parts.composer.test(
    { ...newEmailIdentity(config), from: formatMailbox(config.mailFrom), to, date: parts.now() },
    { publicUrl: config.publicUrl },
  );
  const steps: Step[] = [];
  const { outcome } = await parts.mailer.walk(mail, (step) => {
    steps.push(step);
    onStep(step);
  });
  return { outcome, steps };
}
