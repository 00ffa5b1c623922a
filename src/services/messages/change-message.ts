import { type EntityManager, LockMode } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { Attempt, Email, Message } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { Suspicion } from '../../words.ts';
import { databaseNow } from '../clock.ts';
import { newId } from '../ids.ts';
import { emailChannel } from '../outbox.ts';
import { removeMessages } from '../remove-messages.ts';
import type { Scope } from '../scope.ts';
import { findMessage } from './messages.ts';

/** What was asked for, and whether there was anything to do. */
export interface MessageChange {
  id: string;
  receipt: string;
  /** False where it was so already. */
  changed: boolean;
}

/** Why a message is held that looked well to the guard. */
const heldByHand: Suspicion = 'held-by-hand';

/**
 * Keeps a message back, and with it all of its mail that has not been sent.
 *
 * @param which an id or a receipt.
 * @param within ids of forms: a message of any other is not there.
 * @throws {Problem} message-unknown, email-leased
 */
export async function holdMessage(scope: Scope, which: string, within?: readonly string[]): Promise<MessageChange> {
  return await change(scope, which, within, (message, emails, now, em) => {
    if (message.status === 'held') return false;
    if (emails.some((email) => email.isLeased(now))) {
      throw new Problem('email-leased', `mail of message ${message.receipt} is being sent at this moment: try again`);
    }
    message.hold(heldByHand, now);
    for (const email of emails) {
      if (email.state !== 'queued') continue;
      // Its worker died. That it may have arrived is what the claim would have written down.
      if (email.leaseToken != null) em.create(Attempt, { id: newId(), email, outcome: 'unknown', finishedAt: now });
      email.hold();
    }
    return true;
  });
}

/**
 * Lets a held message go: its owners are told of it now. An auto-reply that was held with it is cancelled: it would
 * thank for a message of some other day, and whether it may go was decided when the message came.
 *
 * @param which an id or a receipt.
 * @param within ids of forms: a message of any other is not there.
 * @throws {Problem} message-unknown
 */
export async function releaseMessage(scope: Scope, which: string, within?: readonly string[]): Promise<MessageChange> {
  return await change(scope, which, within, (message, emails, now) => {
    if (message.status === 'accepted') return false;
    message.release();
    for (const email of emails) {
      if (email.state !== 'held') continue;
      if (email.kind === 'auto-reply') email.cancel();
      else email.queueAgain(now);
    }
    return true;
  });
}

/** @param decide is given the message and its emails as they are, locked; false means that there is nothing to do. */
async function change(
  scope: Scope,
  which: string,
  within: readonly string[] | undefined,
  decide: (message: Message, emails: Email[], now: Date, em: EntityManager) => boolean,
): Promise<MessageChange> {
  const { id, receipt } = await findMessage(scope, which, within);
  return await inTransaction(scope.em, async (em) => {
    const emails = await lockEmails(em, id);
    const message = await em.findOne(Message, { id }, { refresh: true });
    if (message === null) throw new Problem('message-unknown', `there is no message ${which}`);
    const changed = decide(message, emails, await databaseNow(em), em);
    if (changed) {
      await em.flush();
      await em.execute('select pg_notify(?, ?)', [emailChannel, '']);
    }
    return { id, receipt, changed };
  });
}

/**
 * The locks keep workers, resends and other operators away until the commit. Asked twice: a resend that held them
 * before us may have written a copy, which the first question was too early to see.
 */
async function lockEmails(em: EntityManager, messageId: string): Promise<Email[]> {
  const lock = { orderBy: { id: 'asc' }, refresh: true, lockMode: LockMode.PESSIMISTIC_WRITE } as const;
  await em.find(Email, { message: messageId }, lock);
  return await em.find(Email, { message: messageId }, lock);
}

/**
 * Deletes a message for good, with its emails and their attempts. Its sender stays until the next purge, or longer where
 * there are other messages; mail that a worker has in its hands at this moment still goes out.
 *
 * @param which an id or a receipt.
 * @param within ids of forms: a message of any other is not there.
 * @throws {Problem} message-unknown
 */
export async function deleteMessage(scope: Scope, which: string, within?: readonly string[]): Promise<MessageChange> {
  const { id, receipt } = await findMessage(scope, which, within);
  return await inTransaction(scope.em, async (em) => {
    const removed = await removeMessages(em, [id]);
    return { id, receipt, changed: removed.length > 0 };
  });
}
