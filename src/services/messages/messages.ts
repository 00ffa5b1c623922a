import { validate as isUuid } from 'uuid';
import { Email, Message } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { MessageStatus, NoReplyReason } from '../../words.ts';
import { databaseNow } from '../clock.ts';
import { findFormId } from '../forms/forms.ts';
import { readReceipt } from '../ids.ts';
import {
  cutPage,
  idsOf,
  type Page,
  type PageRequest,
  type Period,
  readIdCursor,
  readLimit,
  timesOf,
} from '../paging.ts';
import type { Scope } from '../scope.ts';
import { openClientAddress } from '../sealed-values.ts';
import { findSender, type SenderChoice } from '../senders/senders.ts';
import { type MessageView, viewMessage, viewWritten, type WrittenView } from '../views.ts';

export interface MessageFilter extends Period {
  /** Slug. */
  form?: string;
  status?: MessageStatus;
  /** Id or address. */
  sender?: string;
  /** Ids of forms; messages of other forms never match. */
  within?: readonly string[];
}

/**
 * Stored messages, newest first.
 *
 * @throws {Problem} form-unknown, sender-unknown, argument-invalid
 */
export async function listMessages(
  scope: Scope,
  request: MessageFilter & PageRequest = {},
): Promise<Page<MessageView>> {
  const limit = readLimit(request.limit);
  const before = readIdCursor(request.cursor);
  const where = await messagesWhere(scope, request);
  const rows = await scope.em.find(
    Message,
    { $and: [where, { id: { $lt: before } }] },
    { populate: ['form', 'sender'], orderBy: { id: 'desc' }, limit: limit + 1 },
  );
  return cutPage(rows, limit, (row) => viewMessage(scope.keyring, row));
}

/** @throws {Problem} form-unknown, sender-unknown, argument-invalid */
export async function messagesWhere(scope: Scope, filter: MessageFilter) {
  const [ids, received] = [idsOf(filter), timesOf(filter)];
  const form = filter.form === undefined ? undefined : await findFormId(scope, filter.form, filter.within);
  const sender = filter.sender === undefined ? undefined : await findSender(scope, idOrEmail(filter.sender));
  return {
    ...(ids && { id: ids }),
    ...(received && { receivedAt: received }),
    ...(form === undefined ? filter.within && { form: { $in: [...filter.within] } } : { form }),
    ...(sender && { sender: sender.id }),
    ...(filter.status && { status: filter.status }),
  };
}

/** One message with its emails and the network it was posted from. */
export interface MessageDetails extends MessageView {
  clientAddress: string | null;
  /** Why its sender gets no auto-reply; null if one was queued, and for a message of release 0.2.0. */
  noReply: NoReplyReason | null;
  emails: WrittenView[];
}

/**
 * @param which an id, a receipt, or `latest`.
 * @param within ids of forms; a message of any other form counts as unknown.
 * @throws {Problem} message-unknown
 */
export async function showMessage(scope: Scope, which: string, within?: readonly string[]): Promise<MessageDetails> {
  const message = which === 'latest' ? await findNewest(scope, within) : await findMessage(scope, which, within);
  const emails = await scope.em.find(
    Email,
    { message: message.id },
    { populate: ['message.form', 'sender'], orderBy: { id: 'asc' }, refresh: true },
  );
  const now = await databaseNow(scope.em);
  return {
    ...viewMessage(scope.keyring, message),
    clientAddress: openClientAddress(scope.keyring, message),
    noReply: message.noReply ?? null,
    emails: emails.map((email) => viewWritten(scope.keyring, email, now)),
  };
}

async function findNewest(scope: Scope, within?: readonly string[]): Promise<Message> {
  const where = await messagesWhere(scope, within === undefined ? {} : { within });
  const [newest] = await scope.em.find(Message, where, {
    populate: ['form', 'sender'],
    orderBy: { id: 'desc' },
    limit: 1,
  });
  if (newest === undefined) throw new Problem('message-unknown', 'no message has been stored yet');
  return newest;
}

/**
 * @param which an id or a receipt.
 * @throws {Problem} message-unknown
 */
export async function findMessage(scope: Scope, which: string, within?: readonly string[]): Promise<Message> {
  const receipt = readReceipt(which);
  const where = isUuid(which) ? { id: which } : receipt === undefined ? undefined : { receipt };
  const found =
    where === undefined
      ? null
      : await scope.em.findOne(Message, where, { populate: ['form', 'sender'], refresh: true });
  if (found === null || within?.includes(found.form.id) === false) {
    throw new Problem('message-unknown', `there is no message ${which}`);
  }
  return found;
}

function idOrEmail(text: string): SenderChoice {
  return text.includes('@') ? { email: text } : { id: text };
}
