import type { Attempt, Email, Message, Sender } from '../entities/index.ts';
import type { Keyring } from '../privacy/keyring.ts';
import type { AttemptOutcome, EmailKind, EmailState, FailureReason, MessageStatus } from '../words.ts';
import { openContent, openOrNull, openSenderAddress, openSenderName, replyPlace } from './sealed-values.ts';

/** What the command line and the HTTP API show of a sender. Here and below, times are ISO 8601 in UTC. */
export interface SenderView {
  id: string;
  /** Null where its seal does not open. */
  email: string | null;
  name: string | null;
  messages: number;
  /** Since when further messages are held; null where they are not. */
  blockedAt: string | null;
  /** Since when no auto-reply goes to this mailbox, because its owner asked for none; null where it may. */
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
  /** Null where the seal of what was posted does not open; so are the five below then. */
  email: string | null;
  name: string | null;
  subject: string | null;
  message: string | null;
  extra: Record<string, string> | null;
  receivedAt: string;
  senderId: string;
}

export interface EmailView {
  id: string;
  kind: EmailKind;
  state: EmailState;
  /** Null where its seal does not open. */
  to: string | null;
  /** These three are null for a summary, which is about no single message. */
  form: string | null;
  messageId: string | null;
  receipt: string | null;
  tries: number;
  dueAt: string;
  failure: FailureReason | null;
  createdAt: string;
  sentAt: string | null;
  resendOf: string | null;
  /** Whether a worker may be sending it at this moment. */
  leased: boolean;
}

export interface AttemptView {
  outcome: AttemptOutcome;
  code: number | null;
  /** Null where its seal does not open, and where the worker was lost before there was one. */
  reply: string | null;
  startedAt: string | null;
  finishedAt: string;
}

type ShownOfSender = Pick<
  Sender,
  'id' | 'address' | 'name' | 'messageCount' | 'blockedAt' | 'firstMessageAt' | 'lastMessageAt'
>;

/** @param suppressedAt as `readSuppressions` gives it. */
export function presentSender(keyring: Keyring, sender: ShownOfSender, suppressedAt: Date | undefined): SenderView {
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
export function presentMessage(keyring: Keyring, message: Message): MessageView {
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
    senderId: message.sender.id,
  };
}

/** An email together with what is shown of its message, that one's form, and its sender. */
type LoadedEmail = Omit<Email, 'message' | 'sender' | 'resendOf' | symbol> & {
  message?: { id: string; receipt: string; form: { slug: string } } | null | undefined;
  sender?: { id: string; address: Uint8Array } | null | undefined;
  resendOf?: { id: string } | null | undefined;
};

/** @param now the database's time. */
export function presentEmail(keyring: Keyring, email: LoadedEmail, now: Date): EmailView {
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

export function presentAttempt(keyring: Keyring, attempt: Attempt): AttemptView {
  const { reply } = attempt;
  return {
    outcome: attempt.outcome,
    code: attempt.code ?? null,
    reply: reply == null ? null : openOrNull(() => keyring.open(reply, replyPlace(attempt.id))),
    startedAt: attempt.startedAt?.toISOString() ?? null,
    finishedAt: attempt.finishedAt.toISOString(),
  };
}
