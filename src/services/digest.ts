import type { EntityManager } from '@mikro-orm/postgresql';
import { msSql } from '../database/statement.ts';
import { listOf } from './ids.ts';

// The first notification beyond a form's hourly limit waits until the hour is over, and is the digest: it then names the
// messages of all notifications with its `digest_id`. Those are stored as cancelled.

/** Max messages that a digest names: more than a person reads through. */
const maxNamed = 200;

/** SQL condition: a digest names this email's message instead. @param emails the table or its alias. */
export const isNamedOnly = (emails: string) => `(${emails}.state = 'cancelled' and ${emails}.failure = 'digest')`;

/** SQL condition: a message is named in a digest that is still to be sent, and has no notification of its own. */
export const waitsForDigest = `exists (
    select from emails as named join emails as digest on digest.digest_id = named.digest_id
    where named.message_id = messages.id and ${isNamedOnly('named')}
      and digest.state not in ('sent', 'cancelled')
      and not exists (select from emails as sent where sent.digest_id = named.digest_id and sent.state = 'sent')
      and not exists (select from emails as own
        where own.message_id = messages.id and own.kind = 'notification' and own.state = 'sent'))`;

/**
 * Lets no further message join these digests. Waits for posts that are joining now, so that the next statement sees them;
 * later posts begin another digest.
 */
export async function closeDigests(em: EntityManager, ids: readonly string[]): Promise<void> {
  if (ids.length > 0) {
    await em.execute('update notify_hours set digest_id = null where digest_id = any(?::uuid[])', [listOf(ids)]);
  }
}

export interface NamedMessage {
  id: string;
  receipt: string;
  content: Buffer;
  received_ms: number;
  /** Of all messages, also those beyond the first 200. */
  count: number;
}

/** The messages that a digest names, oldest first: its own one too. */
export async function listNamed(em: EntityManager, digestId: string): Promise<NamedMessage[]> {
  return await em.execute<NamedMessage[]>(
    `select id, receipt, content, ${msSql('received_at')} as received_ms, count(*) over ()::int as count
     from messages where id in (select message_id from emails where digest_id = ?)
     order by id limit ${maxNamed}`,
    [digestId],
  );
}

/** Which of these digests were sent. */
export async function sentDigests(em: EntityManager, ids: readonly string[]): Promise<Set<string>> {
  const rows = await em.execute<{ id: string }[]>(
    `select distinct digest_id as id from emails where digest_id = any(?::uuid[]) and state = 'sent'`,
    [listOf(ids)],
  );
  return new Set(rows.map((row) => row.id));
}

/** An unsent digest whose own message is deleted or held. */
export interface LeavingDigest {
  id: string;
  /** What the next message's notification takes over, as JSON. */
  row: string;
}

/** The unsent digests among these messages' notifications. @param em in a transaction that has locked these emails. */
export async function readLeavingDigests(em: EntityManager, messageIds: readonly string[]): Promise<LeavingDigest[]> {
  return await em.execute<LeavingDigest[]>(
    `select distinct on (digest_id) digest_id as id, to_jsonb(emails)::text as row from emails
     where message_id = any(?::uuid[]) and digest_id is not null and state not in ('sent', 'cancelled')
     order by digest_id, id`,
    [listOf(messageIds)],
  );
}

/**
 * Lets the next message of each of these digests take its place, so that the others are not forgotten.
 *
 * @param em in the transaction that deletes or holds `messageIds`. If it locks senders, it has done so: as in the storing
 *   statement, the hourly counts are locked after them.
 */
export async function handOverDigests(
  em: EntityManager,
  leaving: readonly LeavingDigest[],
  messageIds: readonly string[],
): Promise<void> {
  if (leaving.length === 0) return;
  // A post may be joining a digest now: wait for it, because it may be the only one left.
  await em.execute(
    'select from notify_hours where digest_id = any(?::uuid[]) order by form_id, hour, recipient for update',
    [listOf(leaving.map((it) => it.id))],
  );
  const taken = await em.execute<{ id: string }[]>(
    `update emails set state = case leaving.state when 'failed' then 'failed' else 'queued' end, failure = leaving.failure,
       recipient = leaving.recipient, due_at = leaving.due_at, requeued_at = leaving.requeued_at
     from jsonb_to_recordset(?::jsonb) as leaving
         (digest_id uuid, state text, failure text, recipient text, due_at timestamptz, requeued_at timestamptz)
       join lateral (select id from emails as named
         where named.digest_id = leaving.digest_id and ${isNamedOnly('named')} and not message_id = any(?::uuid[])
         -- Skips one that is being deleted or held at this moment.
         order by id limit 1 for update) as heir on true
     where emails.id = heir.id returning emails.digest_id as id`,
    [`[${leaving.map((it) => it.row).join(',')}]`, listOf(messageIds)],
  );
  const kept = new Set(taken.map((it) => it.id));
  await closeDigests(
    em,
    leaving.map((it) => it.id).filter((id) => !kept.has(id)),
  );
}
