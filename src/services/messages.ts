import { validate as isUuid } from 'uuid';
import { Email, Message, type MessageStatus } from '../entities/index.ts';
import { Problem } from '../problems.ts';
import { databaseNow } from './database-now.ts';
import { findFormId } from './form-filter.ts';
import { openOrNull } from './open-seal.ts';
import {
  cutPage,
  idsOf,
  type Page,
  type PageRequest,
  type Period,
  readIdCursor,
  readLimit,
  timesOf,
} from './paging.ts';
import { type EmailView, type MessageView, presentEmail, presentMessage } from './present.ts';
import { readReceipt } from './receipt.ts';
import type { Scope } from './scope.ts';
import { findSender } from './senders.ts';

export interface MessageFilter extends Period {
  /** Slug. */
  form?: string;
  status?: MessageStatus;
  /** Id or address. */
  sender?: string;
}

/**
 * What was stored, the newest first.
 *
 * @throws {Problem} form-unknown, sender-unknown, argument-invalid
 */
export async function listMessages(
  scope: Scope,
  request: MessageFilter & PageRequest = {},
): Promise<Page<MessageView>> {
  const limit = readLimit(request.limit);
  const before = readIdCursor(request.cursor);
  const [ids, received] = [idsOf(request), timesOf(request)];
  const form = request.form === undefined ? undefined : await findFormId(scope, request.form);
  const sender = request.sender === undefined ? undefined : await findSender(scope, idOrEmail(request.sender));
  const rows = await scope.em.find(
    Message,
    {
      ...(before !== undefined && { $and: [{ id: { $lt: before } }] }),
      ...(ids && { id: ids }),
      ...(received && { receivedAt: received }),
      ...(form && { form }),
      ...(sender && { sender: sender.id }),
      ...(request.status && { status: request.status }),
    },
    { populate: ['form'], orderBy: { id: 'desc' }, limit: limit + 1 },
  );
  return cutPage(
    rows,
    limit,
    (row) => presentMessage(scope.keyring, row),
    (row) => ({ id: row.id }),
  );
}

/** One message with its emails, and from where it was posted. */
export interface MessageDetails extends MessageView {
  clientAddress: string | null;
  emails: EmailView[];
}

/**
 * @param which an id, a receipt, or `latest`.
 * @throws {Problem} message-unknown
 */
export async function showMessage(scope: Scope, which: string): Promise<MessageDetails> {
  const message = await findMessage(scope, which);
  const emails = await scope.em.find(
    Email,
    { message: message.id },
    { populate: ['message.form', 'sender'], orderBy: { id: 'asc' } },
  );
  const now = await databaseNow(scope.em);
  const { clientAddress } = message;
  return {
    ...presentMessage(scope.keyring, message),
    clientAddress:
      clientAddress == null
        ? null
        : openOrNull(() =>
            scope.keyring.open(clientAddress, { table: 'messages', column: 'client_address', row: message.id }),
          ),
    emails: emails.map((email) => presentEmail(scope.keyring, email, now)),
  };
}

async function findMessage(scope: Scope, which: string): Promise<Message> {
  const populate = ['form'] as const;
  if (which === 'latest') {
    const [newest] = await scope.em.find(Message, {}, { populate, orderBy: { id: 'desc' }, limit: 1 });
    if (newest === undefined) throw new Problem('message-unknown', 'no message has been stored yet');
    return newest;
  }
  const receipt = readReceipt(which);
  const where = isUuid(which) ? { id: which } : receipt === undefined ? undefined : { receipt };
  const found = where === undefined ? null : await scope.em.findOne(Message, where, { populate });
  if (found === null) throw new Problem('message-unknown', `there is no message ${which}`);
  return found;
}

function idOrEmail(text: string): { id: string } | { email: string } {
  return text.includes('@') ? { email: text } : { id: text };
}
