import { Erasure } from '../../entities/index.ts';
import type { Scope } from '../scope.ts';
import { eraseUntil } from './erase-sender.ts';
import {
  appendRecords,
  type ErasureRecord,
  erasureLogFile,
  type ReadLog,
  readErasureLog,
  recordsNotIn,
  warnAboutLog,
} from './erasure-log.ts';

export interface Replayed {
  /** Records that the database lacked. */
  records: number;
  /** Rows that the backup had brought back and that were deleted again. */
  messages: number;
  senders: number;
}

/** All records, oldest first. */
export async function listErasures(scope: Scope): Promise<ErasureRecord[]> {
  const rows = await scope.em.fork().find(Erasure, {}, { orderBy: { erasedAt: 'asc', addressIndex: 'asc' } });
  return rows.map(({ addressIndex, erasedAt }) => ({ addressIndex: Buffer.from(addressIndex), erasedAt }));
}

/**
 * Repeats the erasures that the database lacks, because it was restored from a backup. Later messages stay. Records that
 * the database has are skipped, so a second replay does nothing.
 */
export async function replayErasures(scope: Scope, records: readonly ErasureRecord[]): Promise<Replayed> {
  const replayed: Replayed = { records: 0, messages: 0, senders: 0 };
  for (const record of recordsNotIn(await listErasures(scope), records)) {
    const gone = await eraseUntil(scope, { ...record, mailboxes: [] }, record.erasedAt);
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
  const { records, strangeLines } = (await readOwnLog(scope)) ?? { records: [], strangeLines: [] };
  if (strangeLines.length > 0) {
    const found = { file: erasureLogFile(scope.config), lines: strangeLines.slice(0, 10) };
    scope.log.warn(found, 'lines of the erasure log cannot be used: torn, changed, or from another database');
  }
  if (records.length === 0) return;
  const replayed = await replayErasures(scope, records);
  if (replayed.records > 0) {
    scope.log.warn(replayed, 'the database lacked erasures from the erasure log: they were done again');
  }
}

/** Appends erasures that this machine's log lacks because a command on another machine did them. */
export async function logNewErasures(scope: Scope): Promise<void> {
  const read = await readOwnLog(scope);
  if (read === undefined) return;
  const missing = recordsNotIn(read.records, await listErasures(scope));
  await appendRecords(scope, missing).catch((error: unknown) => warnAboutLog(scope, error));
}

/** @returns undefined if the file cannot be read, which is logged. */
async function readOwnLog(scope: Scope): Promise<ReadLog | undefined> {
  try {
    return await readErasureLog(scope.keyring, erasureLogFile(scope.config));
  } catch (error) {
    warnAboutLog(scope, error);
    return undefined;
  }
}
