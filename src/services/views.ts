// Entities as the command line and the HTTP API show them. Times are ISO 8601 in UTC. Kinds, states and reasons are shown
// as they are stored, including those that only a later release knows. What cannot be decrypted is null.

import type { Attempt, Email, HookAttempt, Message, Sender } from '../entities/index.ts';
import type { Keyring } from '../privacy/keyring.ts';
import { openContent, openOrNull, openReply, openSenderAddress, openSenderName, replyPlace } from './sealed-values.ts';

export type SenderView = ReturnType<typeof viewSender>;
export type MessageView = ReturnType<typeof viewMessage>;
export type EmailView = ReturnType<typeof viewEmail>;
export type WrittenView = ReturnType<typeof viewWritten>;
export type AttemptView = ReturnType<typeof viewAttempt>;

type ShownOfSender = Pick<
  Sender,
  'id' | 'address' | 'name' | 'messageCount' | 'blockedAt' | 'firstMessageAt' | 'lastMessageAt'
>;

/** @param suppressedAt from `readSuppressions`. */
export function viewSender(keyring: Keyring, sender: ShownOfSender, suppressedAt: Date | undefined) {
  return {
    id: sender.id,
    email: openOrNull(() => openSenderAddress(keyring, sender)),
    name: openOrNull(() => openSenderName(keyring, { id: sender.id, name: sender.name ?? null })) ?? null,
    messages: sender.messageCount,
    firstMessageAt: sender.firstMessageAt.toISOString(),
    lastMessageAt: sender.lastMessageAt.toISOString(),
    /** Further messages are held since then; null if not blocked. */
    blockedAt: sender.blockedAt?.toISOString() ?? null,
    /** This mailbox gets no auto-reply since then, because its owner opted out; null if it may get one. */
    suppressedAt: suppressedAt?.toISOString() ?? null,
  };
}

/** The message's form and sender must have been loaded. */
export function viewMessage(keyring: Keyring, message: Message) {
  const content = openOrNull(() => openContent(keyring, message));
  return {
    id: message.id,
    receipt: message.receipt,
    form: message.form.slug,
    status: message.status,
    reasons: message.reasons,
    email: content?.address ?? null,
    name: content?.name ?? null,
    subject: content?.subject ?? null,
    message: content?.text ?? null,
    extra: content === null ? null : (Object.fromEntries(content.extra) as Record<string, string>),
    receivedAt: message.receivedAt.toISOString(),
    /** Null for a message without an address. */
    senderId: message.sender?.id ?? null,
  };
}

/** An email with the parts of its message, form and sender that are shown. */
type LoadedEmail = Omit<Email, 'message' | 'sender' | 'resendOf' | 'content' | symbol> & {
  message?: { id: string; receipt: string; form: { slug: string } } | null | undefined;
  sender?: { id: string; address: Uint8Array } | null | undefined;
  resendOf?: { id: string } | null | undefined;
};

/** @param now the database's time. */
export function viewEmail(keyring: Keyring, email: LoadedEmail, now: Date) {
  const { sender } = email;
  return {
    id: email.id,
    kind: email.kind,
    state: email.state,
    to: sender == null ? (email.recipient ?? null) : openOrNull(() => openSenderAddress(keyring, sender)),
    /** These three are null for a summary, which is not about a single message. */
    form: email.message?.form.slug ?? null,
    messageId: email.message?.id ?? null,
    receipt: email.message?.receipt ?? null,
    tries: email.tries,
    dueAt: email.dueAt.toISOString(),
    failure: email.failure ?? null,
    createdAt: email.createdAt.toISOString(),
    sentAt: email.sentAt?.toISOString() ?? null,
    resendOf: email.resendOf?.id ?? null,
    /** Whether it is a notification that names other messages too, those beyond its form's hourly limit. */
    digest: email.isDigest(),
    /** Whether a worker may be sending it right now. */
    leased: email.isLeased(now),
  };
}

/** With what an operator wrote, for a reply. An owner's copy says the same, and has no text here. */
export function viewWritten(keyring: Keyring, email: LoadedEmail & Pick<Email, 'content'>, now: Date) {
  const isReply = email.kind === 'reply' && email.sender != null;
  return {
    ...viewEmail(keyring, email, now),
    ...(isReply && { text: openOrNull(() => openReply(keyring, email)) }),
  };
}

/** An attempt to send an email or a hook's delivery. */
export function viewAttempt(keyring: Keyring, attempt: Attempt | HookAttempt) {
  const table = 'delivery' in attempt ? 'hook_attempts' : 'attempts';
  const { reply } = attempt;
  return {
    outcome: attempt.outcome,
    code: attempt.code ?? null,
    /** Null also if the worker died before there was a reply. */
    reply: reply == null ? null : openOrNull(() => keyring.open(reply, replyPlace(attempt.id, table))),
    startedAt: attempt.startedAt?.toISOString() ?? null,
    finishedAt: attempt.finishedAt.toISOString(),
  };
}
