import type { EntityManager } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { ReplyDay } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { listOf, removeMessages } from '../remove-messages.ts';
import type { Scope } from '../scope.ts';
import { noteErasures } from './erasure-log.ts';
import { findPerson, type Person } from './find-person.ts';

/** What is gone. */
export interface Erased {
  /** The sender's id; null where there was no sender any more, only memory of one. */
  id: string | null;
  messages: number;
  emails: number;
  /** Of these, mail that a worker had in its hands: it cannot be called back, and nothing is written down of it. */
  underway: number;
  erasedAt: string;
  /** Whether the record also stands in this machine's erasure log by now; the servers write theirs within minutes. */
  logged: boolean;
}

/** Messages that one transaction removes. */
const batchSize = 200;

/**
 * Erases a person: the sender, every message, the emails about them, their attempts, and what was remembered of the
 * posts. That somebody was blocked is forgotten with the rest; that they asked for no auto-reply is not. What stays is
 * the keyed hash of the address with the time, so that a restored backup can be made to forget as well.
 *
 * Ended half-way, some messages are gone and the sender is not: erasing again finishes it.
 *
 * @throws {Problem} sender-unknown, argument-invalid
 */
export async function eraseSender(scope: Scope, which: { id: string } | { email: string }): Promise<Erased> {
  const person = await findPerson(scope, which);
  const { sender, mailboxIndex } = person;
  if (sender === null && (await scope.em.count(ReplyDay, { addressIndex: mailboxIndex ?? Buffer.alloc(0) })) === 0) {
    throw new Problem('sender-unknown', `nobody has written from ${person.address}`);
  }
  const gone = { messages: 0, emails: 0, underway: 0 };
  let erasedAt: Date | undefined;
  while (erasedAt === undefined) {
    const batch = await inTransaction(scope.em, (em) => eraseBatch(em, person));
    gone.messages += batch.messages;
    gone.emails += batch.emails;
    gone.underway += batch.underway;
    erasedAt = batch.erasedAt;
  }
  const logged = await noteErasures(scope, [{ addressIndex: person.addressIndex, erasedAt }]);
  return { id: sender?.id ?? null, ...gone, erasedAt: erasedAt.toISOString(), logged };
}

interface EraseBatch {
  messages: number;
  emails: number;
  underway: number;
  /** Set where nothing was left, and the record is written. */
  erasedAt: Date | undefined;
}

async function eraseBatch(em: EntityManager, person: Person): Promise<EraseBatch> {
  const lockedAt = await lockAddress(em, person.addressIndex);
  const found = await em.execute<{ id: string }[]>(
    `select messages.id from messages join senders on senders.id = sender_id
     where address_index = ? order by messages.id limit ${batchSize}`,
    [person.addressIndex],
  );
  const ids = found.map((it) => it.id);
  const [counted] = await em.execute<{ emails: number; underway: number }[]>(
    `select count(*)::int as emails,
       count(*) filter (where state = 'queued' and lease_token is not null and due_at > now())::int as underway
     from emails where message_id = any(?::uuid[])`,
    [listOf(ids)],
  );
  const messages = (await removeMessages(em, ids)).length;
  const counts = { messages, emails: counted?.emails ?? 0, underway: counted?.underway ?? 0 };
  if (ids.length === batchSize) return { ...counts, erasedAt: undefined };
  await em.execute('delete from senders where address_index = ?', [person.addressIndex]);
  await em.execute('delete from reply_days where address_index = ?', [person.mailboxIndex]);
  return { ...counts, erasedAt: await writeRecord(em, person.addressIndex, lockedAt) };
}

/**
 * The lock that the statement which stores takes first: a post by the same person waits, or goes with the rest.
 *
 * @returns the database's time once it is had, as PostgreSQL writes it. Whatever was stored before has an earlier one; the
 *   time of the transaction's beginning may be earlier than that, since the lock had to be waited for.
 */
export async function lockAddress(em: EntityManager, addressIndex: Buffer): Promise<string> {
  await em.execute('select pg_advisory_xact_lock(?::bigint)', [String(addressIndex.readBigInt64BE(0))]);
  const [row] = await em.execute<{ at: string }[]>('select clock_timestamp()::text as at');
  return row?.at ?? 'now';
}

/** @param at when it happened. */
export async function writeRecord(em: EntityManager, addressIndex: Buffer, at: Date | string): Promise<Date> {
  const [row] = await em.execute<{ erased_ms: number }[]>(
    `insert into erasures (address_index, erased_at) values (?, ?::timestamptz)
     on conflict (address_index) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at)
     returning (extract(epoch from erased_at) * 1000)::float8 as erased_ms`,
    [addressIndex, at],
  );
  return new Date(row?.erased_ms ?? Number.NaN);
}
