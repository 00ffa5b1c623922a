import type { EntityManager } from '@mikro-orm/postgresql';
import type { MessageStatus } from '../entities/index.ts';

export interface RemovedMessage {
  id: string;
  formId: string;
  senderId: string;
  status: MessageStatus;
}

/**
 * Removes messages for good, with their emails, the attempts and what is remembered of the posts. Their senders
 * stay, with so many messages less, and are locked until the end of the transaction.
 *
 * Locks are taken in the order that everybody takes them in: emails (as whoever resends or holds does, so that none
 * is queued again meanwhile), then messages, then senders (as the statement that stores does).
 *
 * @param em in a transaction of the caller's.
 * @param stillDue SQL, asked again once nobody can change the emails any more.
 */
export async function removeMessages(
  em: EntityManager,
  ids: readonly string[],
  stillDue = 'true',
): Promise<RemovedMessage[]> {
  if (ids.length === 0) return [];
  await em.execute('select id from emails where message_id = any(?::uuid[]) order by id for update', [listOf(ids)]);
  const removed = await em.execute<{ id: string; form_id: string; sender_id: string; status: MessageStatus }[]>(
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
  return removed.map((it) => ({ id: it.id, formId: it.form_id, senderId: it.sender_id, status: it.status }));
}

/** As PostgreSQL reads an array of ids. */
export function listOf(ids: readonly string[]): string {
  return `{${ids.join(',')}}`;
}
