import { type EntityManager, LockMode } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { Attempt, Email, Message } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { Suspicion } from '../../words.ts';
import { databaseNow } from '../clock.ts';
import { handOverDigests, readLeavingDigests, sentDigests } from '../digest.ts';
import { newId } from '../ids.ts';
import { emailChannel, failureEvents, insertDeliveries } from '../outbox.ts';
import { removeMessages } from '../remove-messages.ts';
import type { Scope } from '../scope.ts';
import { findMessage } from './messages.ts';

/** Which message, and whether it changed. */
export interface MessageChange {
  id: string;
  receipt: string;
  /** False if it already was in that state. */
  changed: boolean;
}

/** The reason for holding a message that the guard accepted. */
const heldByHand: Suspicion = 'held-by-hand';

/**
 * Holds a message, and all of its mail that has not been sent. Hooks that were not told about it yet are not told.
 *
 * @param which an id or a receipt.
 * @param within ids of forms; a message of any other form counts as unknown.
 * @throws {Problem} message-unknown, email-leased
 */
export async function holdMessage(scope: Scope, which: string, within?: readonly string[]): Promise<MessageChange> {
  return await change(scope, which, within, async (message, emails, now, em) => {
    if (message.status === 'held') return false;
    if (emails.some((email) => email.isLeased(now))) {
      throw new Problem('email-leased', `mail about message ${message.receipt} is being sent right now: try again`);
    }
    message.hold(heldByHand, now);
    await handOverDigests(em, await readLeavingDigests(em, [message.id]), [message.id]);
    const sent = await sentDigests(
      em,
      emails.flatMap((it) => it.digestId ?? []),
    );
    for (const email of emails) {
      const isUnsent = email.state === 'queued' || (email.isNamedOnly() && !sent.has(email.digestId ?? ''));
      if (!isUnsent) continue;
      // If its worker died, record the attempt as the next claim would have.
      const isUncertain = email.isUncertain();
      if (isUncertain) em.create(Attempt, { id: newId(), email, outcome: 'unknown', finishedAt: now });
      else if (email.leaseToken != null) email.tries -= 1;
      // A release would send a reply a second time, which only `emails resend --again` may do.
      if (isUncertain && email.kind === 'reply') {
        email.giveUp('outcome-unknown');
        await em.execute(insertDeliveries(failureEvents('(select * from emails where id = ?)')), [email.id]);
      } else email.hold();
    }
    return true;
  });
}

/**
 * Releases a held message: its owners are notified now. A held auto-reply is cancelled: it would come days late, and
 * whether it may be sent was decided when the message arrived.
 *
 * @param which an id or a receipt.
 * @param within ids of forms; a message of any other form counts as unknown.
 * @param heldSince changes nothing if the message was released and held again after that.
 * @throws {Problem} message-unknown
 */
export async function releaseMessage(
  scope: Scope,
  which: string,
  within?: readonly string[],
  heldSince?: Date,
): Promise<MessageChange> {
  return await change(scope, which, within, (message, emails, now) => {
    if (message.status === 'accepted') return false;
    if (heldSince !== undefined && message.heldSince().getTime() !== heldSince.getTime()) return false;
    message.release();
    for (const email of emails) {
      if (email.state !== 'held') continue;
      if (email.kind === 'auto-reply') email.cancel();
      else email.queueAgain(now);
    }
    return true;
  });
}

/** The held messages, oldest first. @param reason only messages that are held for this reason alone. */
export async function listHeld({ em }: Scope, reason?: Suspicion): Promise<{ id: string; receipt: string }[]> {
  const where = { status: 'held', ...(reason && { reasons: { $eq: [reason] } }) } as const;
  const found = await em.find(Message, where, { fields: ['receipt'], orderBy: { id: 'asc' } });
  return found.map(({ id, receipt }) => ({ id, receipt }));
}

/** SQL: the event of a message that was held or released. */
const statusEvent = `select case status when 'held' then 'message.held' else 'message.released' end, form_id, id, null::uuid
  from messages where id = ?`;

/** SQL: a held message is not told about. Its release is another event. */
const cancelUntold = `update hook_deliveries set state = 'cancelled', lease_token = null
  where message_id = ? and state = 'queued' and event in ('message.accepted', 'message.released')
    and (lease_token is null or due_at <= now())`;

/** @param decide gets the message and its locked emails; it returns false if there is nothing to do. */
async function change(
  scope: Scope,
  which: string,
  within: readonly string[] | undefined,
  decide: (message: Message, emails: Email[], now: Date, em: EntityManager) => boolean | Promise<boolean>,
): Promise<MessageChange> {
  const { id, receipt } = await findMessage(scope, which, within);
  return await inTransaction(scope.em, async (em) => {
    const emails = await lockEmails(em, id);
    const message = await em.findOne(Message, { id }, { refresh: true });
    if (message === null) throw new Problem('message-unknown', `there is no message ${which}`);
    const changed = await decide(message, emails, await databaseNow(em), em);
    if (changed) {
      await em.flush();
      if (message.status === 'held') await em.execute(cancelUntold, [id]);
      await em.execute('select pg_notify(?, ?)', [emailChannel, '']);
      await em.execute(insertDeliveries(statusEvent), [id]);
    }
    return { id, receipt, changed };
  });
}

/**
 * The locks keep workers, resends and other operators away until the commit. The second query sees a copy that a resend
 * committed while the first query waited for its locks.
 */
async function lockEmails(em: EntityManager, messageId: string): Promise<Email[]> {
  const lock = { orderBy: { id: 'asc' }, refresh: true, lockMode: LockMode.PESSIMISTIC_WRITE } as const;
  await em.find(Email, { message: messageId }, lock);
  return await em.find(Email, { message: messageId }, lock);
}

/**
 * Deletes a message for good, with its emails and their attempts. The sender stays until the next purge, or as long as
 * there are other messages. Mail that a worker is sending right now still goes out.
 *
 * @param which an id or a receipt.
 * @param within ids of forms; a message of any other form counts as unknown.
 * @throws {Problem} message-unknown
 */
export async function deleteMessage(scope: Scope, which: string, within?: readonly string[]): Promise<MessageChange> {
  const { id, receipt } = await findMessage(scope, which, within);
  return await inTransaction(scope.em, async (em) => {
    const removed = await removeMessages(em, [id]);
    return { id, receipt, changed: removed.length > 0 };
  });
}
