import type { EntityManager } from '@mikro-orm/postgresql';
import { inTransaction, msSql } from '../../database/statement.ts';
import { ReplyDay } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { listOf } from '../ids.ts';
import { removeMessages } from '../remove-messages.ts';
import type { Scope } from '../scope.ts';
import { noteErasures } from './erasure-log.ts';
import { findPerson, messagesWithAddress, type Person } from './find-person.ts';
import type { SenderChoice } from './senders.ts';

/** What was deleted. */
export interface Erased {
  /** The sender's id; null if only traces of one were left. */
  id: string | null;
  messages: number;
  emails: number;
  /** Emails that a worker was sending at that moment. They may still arrive. */
  underway: number;
  erasedAt: string;
  /** Whether this machine's erasure log has the record. The servers write theirs within an hour. */
  logged: boolean;
}

/** Messages per transaction. */
const batchSize = 200;

/**
 * Erases a person: the sender, every message from or with the address, its emails with their attempts, and the marks of repeated posts. A block
 * ends; auto-replies that were turned off stay off. A keyed hash of the address and the time also stay, so that the
 * erasure can be repeated after a restore.
 *
 * If it is interrupted, the sender and some messages are left. Erasing again finishes it.
 *
 * @throws {Problem} sender-unknown, argument-invalid
 */
export async function eraseSender(scope: Scope, which: SenderChoice): Promise<Erased> {
  const person = await findErasable(scope, which);
  const { erasedAt, senders: _, ...gone } = await eraseUntil(scope, person);
  const logged = await noteErasures(scope, [{ addressIndex: person.addressIndex, erasedAt }]);
  return { id: person.sender?.id ?? null, ...gone, erasedAt: erasedAt.toISOString(), logged };
}

/**
 * Finds a person about whom something is stored, before somebody is asked about it.
 *
 * @throws {Problem} as `eraseSender`
 */
export async function findErasable(scope: Scope, which: SenderChoice): Promise<Person & { messages: number }> {
  const person = await findPerson(scope, which);
  const { sender, mailboxes, address, addressIndex } = person;
  const [{ messages } = { messages: 0 }] = await scope.em.execute<{ messages: number }[]>(
    `select count(*)::int as messages from (${messagesWithAddress}) as found`,
    [addressIndex, addressIndex.toString('hex')],
  );
  const isKnown = sender !== null || messages > 0;
  if (!isKnown && (await scope.em.count(ReplyDay, { addressIndex: { $in: mailboxes } })) === 0) {
    const where = `nobody has written from ${address}, or named it in a field of type email`;
    throw new Problem('sender-unknown', `${where} (other texts are searched by "find")`);
  }
  return { ...person, messages };
}

interface Gone {
  messages: number;
  emails: number;
  underway: number;
  senders: number;
}

/**
 * Erases a person batch by batch. The last batch also deletes the sender and writes the record.
 *
 * @param until when an erasure is replayed: its time. What came later stays.
 */
export async function eraseUntil(
  scope: Scope,
  person: Pick<Person, 'addressIndex' | 'mailboxes'>,
  until?: Date,
): Promise<Gone & { erasedAt: Date }> {
  const total: Gone = { messages: 0, emails: 0, underway: 0, senders: 0 };
  for (;;) {
    const { erasedAt, ...gone } = await inTransaction(scope.em, (em) => eraseBatch(em, person, until));
    total.messages += gone.messages;
    total.emails += gone.emails;
    total.underway += gone.underway;
    total.senders += gone.senders;
    if (erasedAt !== undefined) return { ...total, erasedAt };
  }
}

/** @returns `erasedAt` only for the last batch. */
async function eraseBatch(
  em: EntityManager,
  { addressIndex, mailboxes }: Pick<Person, 'addressIndex' | 'mailboxes'>,
  until: Date | undefined,
): Promise<Gone & { erasedAt: Date | undefined }> {
  const lockedAt = await lockAddress(em, addressIndex);
  const found = await em.execute<{ id: string }[]>(
    `select id from messages join (${messagesWithAddress}) as found using (id)
     where received_at <= ?::timestamptz order by id limit ${batchSize}`,
    [addressIndex, addressIndex.toString('hex'), until ?? 'infinity'],
  );
  const ids = found.map((it) => it.id);
  const [counted] = await em.execute<{ emails: number; underway: number }[]>(
    `select count(*)::int as emails,
       (count(*) filter (where state = 'queued' and lease_token is not null and due_at > now()))::int as underway
     from emails where message_id = any(?::uuid[])`,
    [listOf(ids)],
  );
  const messages = (await removeMessages(em, ids)).length;
  const gone = { messages, emails: counted?.emails ?? 0, underway: counted?.underway ?? 0, senders: 0 };
  if (ids.length === batchSize) return { ...gone, erasedAt: undefined };
  const senders = await deleteSender(em, addressIndex, until);
  if (mailboxes.length > 0) await em.nativeDelete(ReplyDay, { addressIndex: { $in: mailboxes } });
  return { ...gone, senders, erasedAt: await writeRecord(em, addressIndex, until ?? lockedAt) };
}

/** A person who wrote again after `until` stays a sender, but without the name and block from before. */
async function deleteSender(em: EntityManager, addressIndex: Buffer, until: Date | undefined): Promise<number> {
  if (until === undefined) {
    return (await em.execute<unknown[]>('delete from senders where address_index = ? returning id', [addressIndex]))
      .length;
  }
  const deleted = await em.execute<unknown[]>(
    `delete from senders where address_index = ? and first_message_at <= ?
       and not exists (select from messages where sender_id = senders.id) returning id`,
    [addressIndex, until],
  );
  await em.execute(
    `update senders set name = null, blocked_at = case when blocked_at > ? then blocked_at end,
       first_message_at = (select min(received_at) from messages where sender_id = senders.id)
     where address_index = ? and first_message_at <= ?`,
    [until, addressIndex, until],
  );
  return deleted.length;
}

/**
 * Takes the lock that storing a message takes first, so that a post by the same person waits, or is erased too.
 *
 * @returns the database's time after the lock was taken, as PostgreSQL writes it. Every message stored before has an
 *   earlier time. `now()` would not do: the transaction may have started before a message that it waited for.
 */
async function lockAddress(em: EntityManager, addressIndex: Buffer): Promise<string> {
  await em.execute('select pg_advisory_xact_lock(?::bigint)', [String(addressIndex.readBigInt64BE(0))]);
  const [row] = await em.execute<{ at: string }[]>('select clock_timestamp()::text as at');
  return row?.at ?? 'now';
}

async function writeRecord(em: EntityManager, addressIndex: Buffer, at: Date | string): Promise<Date> {
  const [row] = await em.execute<{ erased_ms: number }[]>(
    `insert into erasures (address_index, erased_at) values (?, ?::timestamptz)
     on conflict (address_index) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at)
     returning ${msSql('erased_at')} as erased_ms`,
    [addressIndex, at],
  );
  return new Date(row?.erased_ms ?? Number.NaN);
}
