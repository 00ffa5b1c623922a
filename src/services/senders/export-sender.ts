import type { FilterQuery } from '@mikro-orm/core';
import { normaliseAddress, readAddress } from '../../address.ts';
import {
  Attempt,
  Email,
  Erasure,
  Message,
  MessageKey,
  RecentPost,
  ReplyDay,
  Suppression,
} from '../../entities/index.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import { Problem } from '../../problems.ts';
import { databaseNow } from '../clock.ts';
import { walkById } from '../paging.ts';
import type { Scope } from '../scope.ts';
import { openClientAddress } from '../sealed-values.ts';
import {
  type AttemptView,
  type MessageView,
  type SenderView,
  viewAttempt,
  viewMessage,
  viewSender,
  viewWritten,
  type WrittenView,
} from '../views.ts';
import { findPerson } from './find-person.ts';
import { type SenderChoice, withAddress } from './senders.ts';

/** Everything stored about one address, except its messages. Times are ISO 8601 in UTC. */
export interface PersonView {
  exportedAt: string;
  /** Null if the sender is gone and only the following fields are left. */
  sender: SenderView | null;
  /** When the mailbox's owner asked for no auto-reply. */
  suppressedAt: string | null;
  /** When the last auto-reply was sent there, while that still delays the next one. */
  lastAutoReplyAt: string | null;
  /** When an earlier sender of this address was erased. */
  erasedAt: string | null;
}

/** One message with everything that belongs to it. */
export interface ExportedMessage extends MessageView {
  heldAt: string | null;
  /** The network that it was posted from, while we keep that. */
  clientAddress: string | null;
  /** Why no auto-reply was sent. */
  noReply: string | null;
  /** Whether we keep a keyed hash of its text, to detect the same text from many addresses. */
  textCompared: boolean;
  /** Keyed hashes that detect a repeated post for a while. */
  repeats: { kind: 'idempotency-key' | 'double-click'; storedAt: string }[];
  emails: (WrittenView & { internetMessageId: string; attempts: AttemptView[] })[];
}

export interface SenderExport {
  person: PersonView;
  /** Oldest first, page by page. */
  messages: AsyncGenerator<ExportedMessage[]>;
}

/** Messages in memory at a time. */
const pageSize = 50;

/**
 * Exports everything stored about one address, even if there is no sender any more. A message from somebody else has only the
 * fields with this address: the rest is about others.
 *
 * @throws {Problem} sender-unknown, argument-invalid
 */
export async function exportSender(scope: Scope, which: SenderChoice): Promise<SenderExport> {
  const { sender, address, addressIndex, mailboxes } = await findPerson(scope, which);
  const where = { $or: [...(sender ? [{ sender: sender.id }] : []), withAddress(addressIndex)] };
  const [[suppression], [reply], erasure, messages] = await Promise.all([
    scope.em.fork().find(Suppression, { addressIndex: { $in: mailboxes } }),
    scope.em.fork().find(ReplyDay, { addressIndex: { $in: mailboxes } }),
    scope.em.fork().findOne(Erasure, { addressIndex }),
    scope.em.fork().count(Message, where),
  ]);
  if (sender === null && !suppression && !reply && !erasure && messages === 0) {
    throw new Problem('sender-unknown', `nothing is stored about ${address}`);
  }
  return {
    person: {
      exportedAt: (await databaseNow(scope.em)).toISOString(),
      sender: sender && viewSender(scope.keyring, sender, suppression?.suppressedAt),
      suppressedAt: suppression?.suppressedAt.toISOString() ?? null,
      lastAutoReplyAt: reply?.repliedAt.toISOString() ?? null,
      erasedAt: erasure?.erasedAt.toISOString() ?? null,
    },
    messages: pagesOf(scope, where, (message) =>
      message.senderId === sender?.id ? message : onlyAddress(scope.keyring, addressIndex, message),
    ),
  };
}

/**
 * Yields one JSON object in small pieces, however much the person wrote.
 *
 * @param stringify returns one line of JSON.
 */
export async function* jsonPieces(
  { person, messages }: SenderExport,
  stringify: (value: unknown) => string,
): AsyncGenerator<string> {
  yield `${stringify(person).slice(0, -1)},"messages":[`;
  let separator = '\n';
  for await (const page of messages) {
    for (const message of page) {
      yield separator + stringify(message);
      separator = ',\n';
    }
  }
  yield ']}\n';
}

/** What a message from somebody else says about the owner of an address. */
function onlyAddress(keyring: Keyring, addressIndex: Buffer, message: ExportedMessage): ExportedMessage {
  const isTheirs = (text: string) =>
    keyring.addressIndex(normaliseAddress(readAddress(text) ?? '')).equals(addressIndex);
  const extra = message.extra && Object.fromEntries(Object.entries(message.extra).filter(([, it]) => isTheirs(it)));
  const { id, receipt, form, status, receivedAt } = message;
  const nothing = { email: null, name: null, subject: null, message: null, senderId: null, clientAddress: null };
  const more = { reasons: [], heldAt: null, noReply: null, textCompared: false, repeats: [], emails: [] };
  return { id, receipt, form, status, receivedAt, extra, ...nothing, ...more };
}

async function* pagesOf(
  scope: Scope,
  where: FilterQuery<Message>,
  show: (message: ExportedMessage) => ExportedMessage,
): AsyncGenerator<ExportedMessage[]> {
  const pages = walkById((after) =>
    scope.em
      .fork()
      .find(
        Message,
        { $and: [where, { id: { $gt: after } }] },
        { populate: ['form', 'sender'], orderBy: { id: 'asc' }, limit: pageSize },
      ),
  );
  for await (const messages of pages) yield (await viewPage({ ...scope, em: scope.em.fork() }, messages)).map(show);
}

async function viewPage({ em, keyring }: Scope, messages: readonly Message[]): Promise<ExportedMessage[]> {
  const ofThese = { message: { $in: messages.map((it) => it.id) } };
  const emails = await em.find(Email, ofThese, { populate: ['message.form', 'sender'], orderBy: { id: 'asc' } });
  const attempts = await em.find(
    Attempt,
    { email: { $in: emails.map((it) => it.id) } },
    { orderBy: { finishedAt: 'asc', id: 'asc' } },
  );
  const keys = await em.find(MessageKey, ofThese);
  const posts = await em.find(RecentPost, ofThese);
  const now = await databaseNow(em);
  const repeats = [
    ...keys.map(({ message, storedAt }) => ({ kind: 'idempotency-key' as const, message, storedAt })),
    ...posts.map(({ message, storedAt }) => ({ kind: 'double-click' as const, message, storedAt })),
  ];
  return messages.map((message) => ({
    ...viewMessage(keyring, message),
    heldAt: message.heldAt?.toISOString() ?? null,
    clientAddress: openClientAddress(keyring, message),
    noReply: message.noReply ?? null,
    textCompared: message.textIndex != null,
    repeats: repeats
      .filter((it) => it.message.id === message.id)
      .map(({ kind, storedAt }) => ({ kind, storedAt: storedAt.toISOString() })),
    emails: emails
      .filter((it) => it.message?.id === message.id)
      .map((email) => ({
        ...viewWritten(keyring, email, now),
        internetMessageId: email.internetMessageId,
        attempts: attempts.filter((it) => it.email.id === email.id).map((it) => viewAttempt(keyring, it)),
      })),
  }));
}
