import { formatMailbox } from '../../address.ts';
import type { FormField } from '../../entities/index.ts';
import type { MailingContext } from '../../mailing-context.ts';
import type { EmailKind } from '../../words.ts';
import type { ClaimedMessage } from '../delivery/claim-due.ts';
import { knownFields } from '../forms/fields.ts';
import type { MessageContent } from '../sealed-values.ts';
import { describeAutoReply, describeNotice } from './compose-email.ts';

export type PreviewKind = Exclude<EmailKind, 'reply'> | 'digest';
type MailForm = ClaimedMessage['form'];

const usualForm = { slug: 'contact', name: 'Contact', recipients: null, fields: null, emailField: null, routes: null };
const usual = { address: 'ada@example.com', name: 'Ada', subject: 'Hello', text: 'Hello,\nhow are you?' };

/** A mail about a made-up message, with the form's templates, words and labels. */
export function previewMail(
  { config, composer }: Pick<MailingContext, 'config' | 'composer'>,
  kind: PreviewKind,
  given: Partial<MailForm>,
): { subject: string; text: string; html: string } {
  const form = { ...usualForm, language: null, words: null, ...given };
  const about = { form, receipt: 'RW-0000000000', receivedAt: new Date('2026-01-01T00:00:00Z') };
  const ids = { id: 'preview', internetMessageId: '<preview@example.com>', date: about.receivedAt };
  const envelope = { ...ids, from: formatMailbox(config.mailFrom), to: 'you@example.com' };
  if (kind === 'notification') {
    return composer.notification(envelope, describeNotice(config, about, sampleContent(form.fields)));
  }
  return kind === 'auto-reply'
    ? composer.autoReply(envelope, describeAutoReply(config, about, `${config.publicUrl}/unsubscribe`))
    : composer.preview(kind, form.slug);
}

function sampleContent(fields: MailForm['fields']): MessageContent {
  if (!Array.isArray(fields)) return { ...usual, extra: [['company', 'Engines']] };
  const { address, name, subject, text } = usual;
  const samples = { text: 'Engines', number: '2', email: address, checkbox: 'yes' };
  const sampleOf = ({ type, choices = [] }: FormField) =>
    type === 'choice' || type === 'choices' ? choices.slice(0, type === 'choice' ? 1 : 2).join(', ') : samples[type];
  const has = (it: string) => fields.some((field) => field.name === it);
  return {
    ...(fields.some((it) => it.type === 'email') && { address }),
    ...(has('name') && { name }),
    ...(has('subject') && { subject }),
    text: has('message') ? text : '',
    extra: fields.filter((it) => !Object.hasOwn(knownFields, it.name)).map((it) => [it.name, sampleOf(it)]),
  };
}
