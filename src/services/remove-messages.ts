import type { EntityManager } from '@mikro-orm/postgresql';
import type { MessageStatus } from '../words.ts';
import { handOverDigests, readLeavingDigests } from './digest.ts';
import { listOf } from './ids.ts';

export interface RemovedMessage {
  id: string;
  formId: string;
  /** Null for a message without a sender. */
  senderId: string | null;
  status: MessageStatus;
}

/**
 * Deletes messages for good, with their emails, attempts and idempotency keys. Their senders stay, with a lower message
 * count, and are locked until the transaction ends.
 *
 * Locks are taken in the same order everywhere: emails (as a resend or hold does, so that none is queued again meanwhile),
 * then messages, then senders and hourly counts (as the store statement does).
 *
 * @param em in the caller's transaction.
 * @param stillDue SQL condition, checked again once the emails are locked.
 */
export async function removeMessages(
  em: EntityManager,
  ids: readonly string[],
  stillDue = 'true',
): Promise<RemovedMessage[]> {
  if (ids.length === 0) return [];
  await em.execute('select id from emails where message_id = any(?::uuid[]) order by id for update', [listOf(ids)]);
  const leaving = await readLeavingDigests(em, ids);
  const removed = await em.execute<{ id: string; form_id: string; sender_id: string | null; status: MessageStatus }[]>(
    `delete from messages where id = any(?::uuid[]) and ${stillDue} returning id, form_id, sender_id, status`,
    [listOf(ids)],
  );
  const senderIds = listOf(removed.map((it) => it.sender_id));
  await em.execute('select id from senders where id = any(?::uuid[]) order by address_index for update', [senderIds]);
  await em.execute(
    `update senders set message_count = message_count - gone.count
     from (select id, count(*)::int as count from unnest(?::uuid[]) as id group by id) as gone
     where senders.id = gone.id`,
    [senderIds],
  );
  await handOverDigests(em, leaving, ids);
  return removed.map((it) => ({ id: it.id, formId: it.form_id, senderId: it.sender_id, status: it.status }));
}
