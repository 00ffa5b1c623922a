import type { EntityManager } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { ReplyDay } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { listOf, removeMessages } from '../remove-messages.ts';
import type { Scope } from '../scope.ts';
import { noteErasures } from './erasure-log.ts';
import { findPerson, type Person } from './find-person.ts';

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
 * Erases a person: the sender, every message, its emails with their attempts, and the marks of repeated posts. A block
 * ends; a wish for no auto-reply stays. A keyed hash of the address and the time stay too, so that the erasure can be
 * repeated after a restore.
 *
 * If it is interrupted, the sender and some messages are left. Erasing again finishes it.
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
  /** Set by the last batch, which writes the record. */
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
 * Takes the lock that storing a message takes first, so that a post by the same person waits, or is erased too.
 *
 * @returns the database's time after the lock was taken, as PostgreSQL writes it. Every message stored before has an
 *   earlier time. `now()` would not do: the transaction may have started before a message that it waited for.
 */
export async function lockAddress(em: EntityManager, addressIndex: Buffer): Promise<string> {
  await em.execute('select pg_advisory_xact_lock(?::bigint)', [String(addressIndex.readBigInt64BE(0))]);
  const [row] = await em.execute<{ at: string }[]>('select clock_timestamp()::text as at');
  return row?.at ?? 'now';
}

export async function writeRecord(em: EntityManager, addressIndex: Buffer, at: Date | string): Promise<Date> {
  const [row] = await em.execute<{ erased_ms: number }[]>(
    `insert into erasures (address_index, erased_at) values (?, ?::timestamptz)
     on conflict (address_index) do update set erased_at = greatest(erasures.erased_at, excluded.erased_at)
     returning (extract(epoch from erased_at) * 1000)::float8 as erased_ms`,
    [addressIndex, at],
  );
  return new Date(row?.erased_ms ?? Number.NaN);
}
