import { isPlainAddress } from '../../address.ts';
import type { Mail } from '../mailer.ts';
import { type HeldSummaryContent, summaryValues } from './held-summary.ts';
import { escapeHtml, WebAddress } from './html.ts';
import { cleanLine, cleanText } from './plain-text.ts';
import { composeReply } from './reply.ts';
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

export interface NotificationContent {
  readonly receipt: string;
  readonly formSlug: string;
  readonly formName?: string;
  readonly receivedAt: Date;
  /** Empty for a message without a sender. */
  readonly sender: { readonly address?: string; readonly name?: string };
  readonly subject?: string;
  readonly message: string;
  readonly extra: ReadonlyArray<{ readonly name: string; readonly value: string }>;
  readonly publicUrl: string;
  /** A Message-ID for this sender, `<sender-uuid@host>`: mail programs then show one thread per sender. */
  readonly threadId?: string;
}

/**
 * All that an auto-reply may contain. Nothing comes from the visitor, not even a name: anybody can type in any address, and
 * must not be able to send words to it.
 */
export interface AutoReplyContent {
  readonly receipt: string;
  readonly siteName: string;
  readonly siteUrl: string;
  readonly receivedAt: Date;
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

/** The mail that tells an owner about a new message. Pure. */
export function composeNotification(templates: Templates, envelope: Envelope, content: NotificationContent): Mail {
  const { sender } = content;
  const senderName = cleanLine(sender.name ?? '', 200) || null;
  const address = cleanLine(sender.address ?? '', 254) || null;
  const parts = templates.render('notification', {
    receipt: content.receipt,
    form_slug: content.formSlug,
    form_name: cleanLine(content.formName ?? '', 100) || content.formSlug,
    received_at: templates.writeTime(content.receivedAt),
    sender: cleanLine(senderName ?? address ?? 'Somebody', maxSenderInSubject),
    sender_name: senderName,
    sender_address: address,
    subject: cleanLine(content.subject ?? '', 200) || null,
    message: cleanText(content.message),
    preview: cleanLine(content.message, 140),
    extra: content.extra.map(({ name, value }) => ({ name: cleanLine(name, 100), value: cleanText(value) })),
    public_url: new WebAddress(content.publicUrl),
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
  const parts = templates.render('auto-reply', {
    receipt: content.receipt,
    site_name: cleanLine(content.siteName, 100),
    site_url: new WebAddress(content.siteUrl),
    site_host: new URL(content.siteUrl).host,
    received_at: templates.writeTime(content.receivedAt),
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

export interface DigestContent {
  /** How many messages there are, including messages that are not named. */
  readonly count: number;
  readonly formSlug: string;
  readonly formName?: string;
  /** Oldest first. Name and address are empty if there is none. */
  readonly messages: ReadonlyArray<{
    readonly receipt: string;
    readonly receivedAt: Date;
    readonly name: string;
    readonly address: string;
  }>;
  readonly publicUrl: string;
}

/** The mail that names the messages beyond a form's hourly limit on notifications. Pure. */
export function composeDigest(templates: Templates, envelope: Envelope, content: DigestContent): Mail {
  const more = content.count - content.messages.length;
  const parts = templates.render('digest', {
    count: String(content.count),
    since: templates.writeTime(content.messages[0]?.receivedAt ?? envelope.date),
    form_slug: content.formSlug,
    form_name: cleanLine(content.formName ?? '', 100) || content.formSlug,
    items: content.messages.map((it) => ({
      receipt: it.receipt,
      received_at: templates.writeTime(it.receivedAt),
      name: cleanLine(it.name, 200),
      address: cleanLine(it.address, 254),
    })),
    more: more > 0 ? String(more) : null,
    example_receipt: content.messages[0]?.receipt ?? 'latest',
    public_url: new WebAddress(content.publicUrl),
    public_host: new URL(content.publicUrl).host,
  });
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
    preview: templates.preview,
  };
}

export type Composer = ReturnType<typeof createComposer>;

function base(envelope: Envelope, kind: string, parts: { subject: string; text: string; html: string }) {
  const { id, from, to, internetMessageId, date } = envelope;
  return { id, kind, from, to, internetMessageId, date, ...parts, subject: cleanLine(parts.subject, maxSubject) };
}
