import type { EntityManager } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { Erasure } from '../../entities/index.ts';
import { removeMessages } from '../remove-messages.ts';
import type { Scope } from '../scope.ts';
import { lockAddress, writeRecord } from './erase-sender.ts';
import {
  appendRecords,
  type ErasureRecord,
  erasureLogFile,
  readErasureLog,
  recordsNotIn,
  warnOfLog,
} from './erasure-log.ts';

export interface Replayed {
  /** Records that the database lacked. */
  records: number;
  /** Rows that the backup had brought back and that were deleted again. */
  messages: number;
  senders: number;
}

const batchSize = 200;

/** All records, oldest first. */
export async function listErasures(scope: Scope): Promise<ErasureRecord[]> {
  const rows = await scope.em.fork().find(Erasure, {}, { orderBy: { erasedAt: 'asc', addressIndex: 'asc' } });
  return rows.map(({ addressIndex, erasedAt }) => ({ addressIndex: Buffer.from(addressIndex), erasedAt }));
}

/**
 * Erases again the people whose erasure the database does not know, because it was restored from a backup. Messages from
 * after the erasure stay. Records that the database has are skipped, so a second replay does nothing.
 */
export async function replayErasures(scope: Scope, records: readonly ErasureRecord[]): Promise<Replayed> {
  const replayed: Replayed = { records: 0, messages: 0, senders: 0 };
  for (const record of recordsNotIn(await listErasures(scope), records)) {
    const gone = await replayOne(scope, record);
    replayed.records++;
    replayed.messages += gone.messages;
    replayed.senders += gone.senders;
  }
  return replayed;
}

/**
 * Replays this machine's erasure log. A server or worker does it when it starts, and a worker after each database outage
 * too, before it sends anything: during the outage, somebody may have restored a backup.
 */
export async function replayErasureLog(scope: Scope): Promise<void> {
  const records = await readOwnLog(scope);
  if (records === undefined || records.length === 0) return;
  const replayed = await replayErasures(scope, records);
  if (replayed.records > 0) {
    scope.log.warn(replayed, 'the database did not know erasures from the erasure log: they were done again');
  }
}

/** Appends erasures that this machine's log lacks because a command on another machine did them. */
export async function logNewErasures(scope: Scope): Promise<void> {
  const records = await readOwnLog(scope);
  if (records === undefined) return;
  const logged = recordsNotIn([], records).map((it) => BigInt(it.erasedAt.getTime()));
  const [stored] = await scope.em.execute<{ count: number; times: string }[]>(
    `select count(*)::int as count, coalesce(sum((extract(epoch from erased_at) * 1000)::bigint), 0)::text as times
     from erasures`,
  );
  // A second erasure of an address only raises its time, which changes the sum.
  if (stored?.count === logged.length && stored.times === String(logged.reduce((sum, it) => sum + it, 0n))) return;
  const missing = recordsNotIn(records, await listErasures(scope));
  await appendRecords(scope, missing).catch((error: unknown) => warnOfLog(scope, error));
}

/** @returns undefined if the file cannot be read, which is logged. */
async function readOwnLog(scope: Scope): Promise<ErasureRecord[] | undefined> {
  try {
    return (await readErasureLog(scope.keyring, erasureLogFile(scope.config))).records;
  } catch (error) {
    warnOfLog(scope, error);
    return undefined;
  }
}

async function replayOne(scope: Scope, { addressIndex, erasedAt }: ErasureRecord) {
  const gone = { messages: 0, senders: 0 };
  for (let isDone = false; !isDone; ) {
    const done = await inTransaction(scope.em, (em) => replayBatch(em, addressIndex, erasedAt));
    gone.messages += done.messages;
    gone.senders += done.senders;
    isDone = done.messages < batchSize;
  }
  return gone;
}

async function replayBatch(em: EntityManager, addressIndex: Buffer, erasedAt: Date) {
  await lockAddress(em, addressIndex);
  const found = await em.execute<{ id: string; sender_id: string }[]>(
    `select messages.id, sender_id from messages join senders on senders.id = sender_id
     where address_index = ? and received_at <= ? order by messages.id limit ${batchSize}`,
    [addressIndex, erasedAt],
  );
  const removed = await removeMessages(
    em,
    found.map((it) => it.id),
  );
  if (found.length === batchSize) return { messages: removed.length, senders: 0 };
  const senders = await em.execute<unknown[]>(
    `delete from senders where address_index = ? and first_message_at <= ?
       and not exists (select from messages where sender_id = senders.id) returning id`,
    [addressIndex, erasedAt],
  );
  // If the person wrote again before the replay, the sender's row stays, but without the name and block from before.
  await em.execute(
    `update senders set name = null, blocked_at = case when blocked_at > ? then blocked_at end,
       first_message_at = (select min(received_at) from messages where sender_id = senders.id)
     where address_index = ? and first_message_at <= ?`,
    [erasedAt, addressIndex, erasedAt],
  );
  await writeRecord(em, addressIndex, erasedAt);
  return { messages: removed.length, senders: senders.length };
}
