import { isPlainAddress } from '../../address.ts';
import { catalogueOf, fill, inLanguage } from '../../languages/languages.ts';
import type { Language, Translated } from '../../words.ts';
import type { Mail } from '../mailer.ts';
import { type DigestContent, digestValues } from './digest.ts';
import { type HeldSummaryContent, summaryValues } from './held-summary.ts';
import { escapeHtml, OwnText, WebAddress } from './html.ts';
import { cleanLine, cleanText, inColumn, wrap } from './plain-text.ts';
import { composeReply } from './reply.ts';
import { examples } from './template-variables.ts';
import type { Templates } from './templates.ts';

/** What is stored with the email, and so stays the same at every attempt. */
export interface Envelope {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  /** For an auto-reply, the owner of the form. Notifications ignore it: their Reply-To is the sender. */
  readonly replyTo?: string;
  readonly internetMessageId: string;
  readonly date: Date;
}

/** What notifications and auto-replies contain; nothing of it comes from the visitor. */
interface CommonContent {
  readonly language: Language;
  readonly receipt: string;
  readonly formSlug: string;
  readonly formName?: string | null | undefined;
  readonly siteName: string;
  readonly receivedAt: Date;
  /** The subject in the form's own words. */
  readonly ownSubject?: Translated | undefined;
}

export interface NotificationContent extends CommonContent {
  /** What the form calls these fields; `message` only if it declares it. */
  readonly labels: Readonly<Record<'name' | 'email' | 'subject', string> & { message: string | null }>;
  /** Empty for a message without a sender. */
  readonly sender: { readonly address?: string | undefined; readonly name?: string | undefined };
  readonly subject?: string | undefined;
  /** Empty if there is none. */
  readonly message: string;
  /** By label. */
  readonly extra: ReadonlyArray<{ readonly name: string; readonly value: string }>;
  readonly publicUrl: string;
  /** A Message-ID for this sender, `<sender-uuid@host>`: mail programs then show one thread per sender. */
  readonly threadId?: string | undefined;
}

/**
 * All that an auto-reply may contain. Nothing comes from the visitor, not even a name: anybody can type in any address, and
 * must not be able to send words to it.
 */
export interface AutoReplyContent extends CommonContent {
  /** The text in the form's own words. */
  readonly ownText?: Translated | undefined;
  readonly siteUrl: string;
  readonly unsubscribeUrl?: string;
}

/** In characters. RFC 5322 allows 998 octets a line, but nobody reads that. */
const maxSubject = 200;
/** Leaves room for the receipt behind it, which must not be cut off. */
const maxSenderInSubject = 120;

/** Suppresses automatic replies except non-delivery reports, which `All` would suppress too (MS-OXCMAIL §2.1.3.2.20). */
const toOwner = {
  'Auto-Submitted': 'auto-generated',
  'X-Auto-Response-Suppress': 'DR, RN, NRN, OOF, AutoReply',
};

/** What the templates of both get. An auto-reply has no `sender`. */
function commonValues(templates: Templates, content: CommonContent, sender?: string) {
  const { language, receipt, formSlug: slug } = content;
  const form = cleanLine(content.formName ?? '', 100) || slug;
  const site = cleanLine(content.siteName, 100);
  const time = templates.writeTime(content.receivedAt, language);
  const fillIn = (text: Translated) =>
    fill(inLanguage(text, language), { receipt, form, slug, site, time, ...(sender !== undefined && { sender }) });
  const { mail } = catalogueOf(language);
  const toFill = Object.entries(mail).filter(([, it]) => it.includes('{'));
  const t = { ...mail, ...Object.fromEntries(toFill.map(([key, it]) => [key, fillIn(it)])) };
  const own_subject = fillIn(content.ownSubject ?? '') || null;
  return { form, site, fillIn, values: { language, t, receipt, received_at: time, own_subject } };
}

/** The mail that tells an owner about a new message. Pure. */
export function composeNotification(templates: Templates, envelope: Envelope, content: NotificationContent): Mail {
  const { sender, labels, language } = content;
  const { mail } = catalogueOf(language);
  const senderName = cleanLine(sender.name ?? '', 200) || null;
  const address = cleanLine(sender.address ?? '', 254) || null;
  const extra = content.extra.map(({ name, value }) => ({ name: cleanLine(name, 100), value: cleanText(value) }));
  const message = cleanText(content.message);
  const shownSender = cleanLine(senderName ?? address ?? mail.somebody, maxSenderInSubject);
  const { form, values } = commonValues(templates, content, shownSender);
  const { t } = values;
  const isBlank = message.trim() === '';
  const [before = '', after = ''] = (isBlank ? mail.filled_in : mail.wrote).split('{sender}');
  const publicUrl = new WebAddress(content.publicUrl);
  const parts = templates.of(content.formSlug).render('notification', {
    ...values,
    t: senderName === null && address === null ? { ...t, notification_subject: t.notification_subject_form } : t,
    form_slug: content.formSlug,
    form_name: form,
    sender: shownSender,
    headline: { before, after, whole: `${before}${shownSender}${after}` },
    labels,
    columns: inColumn({ ...labels, form: t.form, received: t.received, receipt: t.receipt }),
    ending: wrap(`${address === null ? '' : `${t.answer_goes} `}${t.sent_by} ${publicUrl}`),
    sender_name: senderName,
    sender_address: address,
    subject: cleanLine(content.subject ?? '', 200) || null,
    message: isBlank ? null : message,
    preview: cleanLine(message.trim() || extra.map(({ name, value }) => `${name}: ${value}`).join(', '), 140),
    extra,
    public_url: publicUrl,
    public_host: new URL(content.publicUrl).host,
  });
  return {
    ...base(envelope, 'notification', parts),
    // The address only: a display name could pretend to be somebody else's address.
    ...(sender.address !== undefined && isPlainAddress(sender.address) ? { replyTo: sender.address } : {}),
    ...(content.threadId ? { inReplyTo: content.threadId, references: [content.threadId] } : {}),
    headers: toOwner,
  };
}

/** The mail that tells a sender that the message arrived. Pure. */
export function composeAutoReply(templates: Templates, envelope: Envelope, content: AutoReplyContent): Mail {
  const unsubscribe = content.unsubscribeUrl === undefined ? null : new WebAddress(content.unsubscribeUrl);
  const { site, values, fillIn } = commonValues(templates, content);
  const parts = templates.of(content.formSlug).render('auto-reply', {
    ...values,
    own_text: content.ownText === undefined ? null : new OwnText(cleanText(fillIn(content.ownText))),
    site_name: site,
    site_url: new WebAddress(content.siteUrl),
    site_host: new URL(content.siteUrl).host,
    unsubscribe_url: unsubscribe,
  });
  return {
    ...base(envelope, 'auto-reply', parts),
    ...(envelope.replyTo === undefined ? {} : { replyTo: envelope.replyTo }),
    headers: {
      // RFC 3834 §5.
      'Auto-Submitted': 'auto-replied',
      'X-Auto-Response-Suppress': 'All',
      // In no standard, but ticket systems and older auto-responders check only this.
      Precedence: 'auto_reply',
      ...(unsubscribe && { 'List-Unsubscribe': `<${unsubscribe}>` }),
      // RFC 8058 §3.1: one-click only over https.
      ...(unsubscribe?.isSecure && { 'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click' }),
    },
  };
}

/** The mail that names the messages beyond a form's hourly limit on notifications. Pure. */
export function composeDigest(templates: Templates, envelope: Envelope, content: DigestContent): Mail {
  const values = digestValues(content, envelope.date, templates.writeTime);
  const parts = templates.of(content.formSlug).render('digest', values);
  return { ...base(envelope, 'notification', parts), headers: toOwner };
}

/** The mail that tells an owner once a day which messages were held. Pure. */
export function composeHeldSummary(templates: Templates, envelope: Envelope, content: HeldSummaryContent): Mail {
  return {
    ...base(envelope, 'held-summary', templates.render('held-summary', summaryValues(content, templates.writeTime))),
    headers: toOwner,
  };
}

/** The mail with which an operator checks whether mail arrives. Pure. */
export function composeTest(envelope: Envelope, content: { publicUrl: string }): Mail {
  const text = `This is a test.\n\nIf you can read it in the inbox, mail of the forms at ${content.publicUrl} arrives.\nThe headers of this mail ("show original") say whether SPF, DKIM and DMARC passed.\n`;
  const html = `<p>${escapeHtml(text).trim().replaceAll('\n\n', '</p><p>').replaceAll('\n', '<br>')}</p>`;
  const subject = `Test mail of ${new URL(content.publicUrl).host}`;
  return { ...base(envelope, 'test', { subject, text, html }), headers: toOwner };
}

/** Composes mails from these templates. */
export function createComposer(templates: Templates) {
  return {
    notification: (envelope: Envelope, content: NotificationContent) =>
      composeNotification(templates, envelope, content),
    autoReply: (envelope: Envelope, content: AutoReplyContent) => composeAutoReply(templates, envelope, content),
    digest: (envelope: Envelope, content: DigestContent) => composeDigest(templates, envelope, content),
    heldSummary: (envelope: Envelope, content: HeldSummaryContent) => composeHeldSummary(templates, envelope, content),
    reply: composeReply,
    test: composeTest,
    preview: (kind: 'digest' | 'held-summary', formSlug: string) => templates.of(formSlug).render(kind, examples[kind]),
  };
}

export type Composer = ReturnType<typeof createComposer>;

function base(envelope: Envelope, kind: string, parts: { subject: string; text: string; html: string }) {
  const { id, from, to, internetMessageId, date } = envelope;
  return { id, kind, from, to, internetMessageId, date, ...parts, subject: cleanLine(parts.subject, maxSubject) };
}
