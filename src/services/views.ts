import type { Attempt, Email, Message, Sender } from '../entities/index.ts';
import type { Keyring } from '../privacy/keyring.ts';
import type { AttemptOutcome, EmailKind, EmailState, FailureReason, MessageStatus } from '../words.ts';
import { openContent, openOrNull, openSenderAddress, openSenderName, replyPlace } from './sealed-values.ts';

/**
 * A sender as the command line and the HTTP API show it. Here and below, times are ISO 8601 in UTC. Kinds, states and
 * reasons are shown as they are stored, including those that only a later release knows.
 */
export interface SenderView {
  id: string;
  /** Null if it cannot be decrypted. */
  email: string | null;
  name: string | null;
  messages: number;
  /** Since when further messages are held; null if not blocked. */
  blockedAt: string | null;
  /** Since when this mailbox gets no auto-reply, because its owner asked for none; null if it may get one. */
  suppressedAt: string | null;
  firstMessageAt: string;
  lastMessageAt: string;
}

export interface MessageView {
  id: string;
  receipt: string;
  form: string;
  status: MessageStatus;
  reasons: string[];
  /** This and the next four are null if the content cannot be decrypted. */
  email: string | null;
  name: string | null;
  subject: string | null;
  message: string | null;
  extra: Record<string, string> | null;
  receivedAt: string;
  /** Null if a later release stored it without a sender. */
  senderId: string | null;
}

export interface EmailView {
  id: string;
  kind: EmailKind;
  state: EmailState;
  /** Null if it cannot be decrypted. */
  to: string | null;
  /** These three are null for a summary, which is not about a single message. */
  form: string | null;
  messageId: string | null;
  receipt: string | null;
  tries: number;
  dueAt: string;
  failure: FailureReason | null;
  createdAt: string;
  sentAt: string | null;
  resendOf: string | null;
  /** Whether a worker may be sending it right now. */
  leased: boolean;
}

export interface AttemptView {
  outcome: AttemptOutcome;
  code: number | null;
  /** Null if it cannot be decrypted, or if the worker died before there was one. */
  reply: string | null;
  startedAt: string | null;
  finishedAt: string;
}

type ShownOfSender = Pick<
  Sender,
  'id' | 'address' | 'name' | 'messageCount' | 'blockedAt' | 'firstMessageAt' | 'lastMessageAt'
>;

/** @param suppressedAt as `readSuppressions` gives it. */
export function viewSender(keyring: Keyring, sender: ShownOfSender, suppressedAt: Date | undefined): SenderView {
  return {
    id: sender.id,
    email: openOrNull(() => openSenderAddress(keyring, sender)),
    name: openOrNull(() => openSenderName(keyring, { id: sender.id, name: sender.name ?? null })) ?? null,
    messages: sender.messageCount,
    firstMessageAt: sender.firstMessageAt.toISOString(),
    lastMessageAt: sender.lastMessageAt.toISOString(),
    blockedAt: sender.blockedAt?.toISOString() ?? null,
    suppressedAt: suppressedAt?.toISOString() ?? null,
  };
}

/** The message's form must have been loaded. */
export function viewMessage(keyring: Keyring, message: Message): MessageView {
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
    extra: content === null ? null : Object.fromEntries(content.extra),
    receivedAt: message.receivedAt.toISOString(),
    senderId: (message.sender as Message['sender'] | null)?.id ?? null,
  };
}

/** An email with the parts of its message, form and sender that are shown. */
type LoadedEmail = Omit<Email, 'message' | 'sender' | 'resendOf' | symbol> & {
  message?: { id: string; receipt: string; form: { slug: string } } | null | undefined;
  sender?: { id: string; address: Uint8Array } | null | undefined;
  resendOf?: { id: string } | null | undefined;
};

/** @param now the database's time. */
export function viewEmail(keyring: Keyring, email: LoadedEmail, now: Date): EmailView {
  const { sender } = email;
  return {
    id: email.id,
    kind: email.kind,
    state: email.state,
    to: sender == null ? (email.recipient ?? null) : openOrNull(() => openSenderAddress(keyring, sender)),
    form: email.message?.form.slug ?? null,
    messageId: email.message?.id ?? null,
    receipt: email.message?.receipt ?? null,
    tries: email.tries,
    dueAt: email.dueAt.toISOString(),
    failure: email.failure ?? null,
    createdAt: email.createdAt.toISOString(),
    sentAt: email.sentAt?.toISOString() ?? null,
    resendOf: email.resendOf?.id ?? null,
    leased: email.isLeased(now),
  };
}

export function viewAttempt(keyring: Keyring, attempt: Attempt): AttemptView {
  const { reply } = attempt;
  return {
    outcome: attempt.outcome,
    code: attempt.code ?? null,
    reply: reply == null ? null : openOrNull(() => keyring.open(reply, replyPlace(attempt.id))),
    startedAt: attempt.startedAt?.toISOString() ?? null,
    finishedAt: attempt.finishedAt.toISOString(),
  };
}
