import type { EntityManager } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { Email, Erasure, Message } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { Need } from '../../words.ts';
import { databaseNow } from '../clock.ts';
import { recipientsOf } from '../forms/effective-settings.ts';
import { emailChannel, newEmailIdentity } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { openContent, openOrNull, openReply, openSenderAddress, sealReply } from '../sealed-values.ts';

/** In characters: more than a person writes, and no file by mistake. */
const maxLength = 20_000;

export interface ReplyRequest {
  text: string;
  /** Whether the owners get a copy. */
  copy: boolean;
  /** Although the sender is blocked or was erased. */
  evenSo: boolean;
  /** Although the same text was sent before. */
  again: boolean;
  dryRun: boolean;
}

export interface Replied {
  receipt: string;
  to: string;
  /** The owners who get a copy. */
  copyTo: string[];
  /** Not stored in a dry run. An older one with the same text, if `isRepeat`: nothing is sent twice. */
  email: Email;
  isRepeat: boolean;
}

/**
 * Queues a reply to the sender of a message, and a copy for each owner of its form.
 *
 * @throws {Problem} message-unknown, reply-refused, argument-invalid for the text.
 */
export async function queueReply(scope: Scope, messageId: string, request: ReplyRequest): Promise<Replied> {
  const text = readText(request.text);
  return await inTransaction(scope.em, async (em) => {
    // Two replies to one message follow each other, so that the second one sees the first. The order is that of a hold.
    await em.execute('select from emails where message_id = ? order by id for update', [messageId]);
    await em.execute('select from messages where id = ? for no key update', [messageId]);
    const inside = { ...scope, em };
    const { message, to, content } = await findAnswerable(inside, messageId, request.evenSo);
    const { receipt } = message;
    const found = request.again ? undefined : await findSame(inside, messageId, text);
    if (found !== undefined) return { receipt, to, copyTo: [], email: found, isRepeat: true };
    const copyTo = request.copy ? [...recipientsOf(scope.config, message.form, content)] : [];
    const now = await databaseNow(em);
    const { internetMessageId } = newEmailIdentity(scope.config);
    const create = (recipient: string | null): Email => {
      const { id } = newEmailIdentity(scope.config);
      const sender = recipient === null ? message.sender : null;
      const content = sealReply(scope.keyring, id, text);
      // All have one Message-ID, so that the sender's answer joins the thread in an owner's mailbox too.
      const row = { id, internetMessageId, message, recipient, sender, content, dueAt: now, createdAt: now };
      return em.create(Email, { ...row, kind: 'reply', state: 'queued' }, { persist: !request.dryRun });
    };
    const email = create(null);
    for (const owner of copyTo) create(owner);
    await em.flush();
    if (!request.dryRun) await em.execute('select pg_notify(?, ?)', [emailChannel, '']);
    return { receipt, to, copyTo, email, isRepeat: false };
  });
}

function readText(given: string): string {
  const text = given.replace(/^\s*\n/, '').trimEnd();
  const length = [...text].length;
  if (length === 0) throw new Problem('argument-invalid', 'the text is empty: nothing was sent');
  if (length <= maxLength) return text;
  throw new Problem('argument-invalid', `the text has more than ${maxLength} characters: nothing was sent`);
}

/** Whether a message can be answered, and where to. @throws {Problem} message-unknown, reply-refused */
export async function findAnswerable({ em, keyring }: Pick<Scope, 'em' | 'keyring'>, id: string, evenSo: boolean) {
  const message = await em.findOne(Message, { id }, { populate: ['form', 'sender'], refresh: true });
  if (message === null) throw new Problem('message-unknown', `there is no message ${id}`);
  const refusal = (why: string, needs?: Need) =>
    new Problem('reply-refused', `message ${message.receipt} ${why}`, needs && { needs });
  if (message.status !== 'accepted') throw refusal(`is ${message.status}`, 'release');
  const { sender } = message;
  const content = openOrNull(() => openContent(keyring, message));
  const to = sender && content && openOrNull(() => openSenderAddress(keyring, sender));
  if (sender == null) throw refusal('has no address to answer to');
  if (content === null || to == null) throw refusal('cannot be decrypted');
  if (evenSo) return { message, to, content };
  if (sender.blockedAt != null) throw refusal('is from a blocked sender', 'even-so');
  const erased = await em.findOne(Erasure, { addressIndex: Buffer.from(sender.addressIndex) });
  if (erased !== null) throw refusal('is from somebody who was erased before', 'even-so');
  return { message, to, content };
}

/** A reply to this message with the same text, unless it was cancelled. */
async function findSame(
  { em, keyring }: { em: EntityManager } & Pick<Scope, 'keyring'>,
  message: string,
  text: string,
): Promise<Email | undefined> {
  const where = { message, kind: 'reply', sender: { $ne: null }, state: { $ne: 'cancelled' } } as const;
  const replies = await em.find(Email, where, { orderBy: { id: 'desc' }, refresh: true });
  return replies.find((it) => openOrNull(() => openReply(keyring, it)) === text);
}
