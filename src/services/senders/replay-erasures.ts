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
  /** Records that the database did not have. */
  records: number;
  /** What a backup had brought back, and is gone again. */
  messages: number;
  senders: number;
}

const batchSize = 200;

/** Every record, the oldest first. */
export async function listErasures(scope: Scope): Promise<ErasureRecord[]> {
  const rows = await scope.em.fork().find(Erasure, {}, { orderBy: { erasedAt: 'asc', addressIndex: 'asc' } });
  return rows.map(({ addressIndex, erasedAt }) => ({ addressIndex: Buffer.from(addressIndex), erasedAt }));
}

/**
 * Erases again whom the database has forgotten to have erased, since it was restored from a backup. What somebody
 * wrote after the erasure stays; a record that the database has is passed over, so that doing it twice does no harm.
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
 * Makes the database and this machine's erasure log say the same: done by every server when it starts, before any
 * mail leaves, after an outage, and once in a while. What the log alone has is erased again; what the database alone
 * has is written down.
 */
export async function syncErasures(scope: Scope): Promise<void> {
  const { log, config, keyring } = scope;
  const fromFile = await readErasureLog(keyring, erasureLogFile(config)).catch((error: unknown) => {
    warnOfLog(scope, error);
    return undefined;
  });
  if (fromFile === undefined) return;
  if (fromFile.records.length > 0) {
    const replayed = await replayErasures(scope, fromFile.records);
    if (replayed.records > 0) {
      log.warn(replayed, 'this database did not know of erasures that the erasure log has: they were done again');
    }
  }
  const missing = recordsNotIn(fromFile.records, await listErasures(scope));
  await appendRecords(scope, missing).catch((error: unknown) => warnOfLog(scope, error));
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
  // Who wrote again before the replay still has the row of before: nothing that was first given then may stay in it.
  await em.execute(
    `update senders set name = null, blocked_at = case when blocked_at > ? then blocked_at end,
       first_message_at = (select min(received_at) from messages where sender_id = senders.id)
     where address_index = ? and first_message_at <= ?`,
    [erasedAt, addressIndex, erasedAt],
  );
  await writeRecord(em, addressIndex, erasedAt);
  return { messages: removed.length, senders: senders.length };
}
