import { setTimeout as pause } from 'node:timers/promises';
import { countRowsOfKey, deleteUnneededKey, readStoredKeys } from '../../database/encryption-keys.ts';
import { type SealedTable, sealedTableNames } from '../../privacy/sealed-columns.ts';
import { Problem } from '../../problems.ts';
import type { Scope } from '../scope.ts';
import { countOutdated, resealTable } from './reseal-rows.ts';

export interface RotateRequest {
  /** Continue even if the first key is older than another one. */
  evenOlder?: boolean;
  /** Ends between two batches. */
  stop?: AbortSignal;
  onProgress?: (done: number) => void;
}

export interface Rotated {
  /** The id of the key that now encrypts everything. */
  key: string;
  /** Rows that were encrypted again. */
  resealed: number;
  interrupted: boolean;
  /** Rows left as they are because a value in them cannot be decrypted. */
  unopened: { count: number; first: { table: SealedTable; id: string }[] };
  /** The other keys; empty if it was interrupted. */
  others: OtherKey[];
}

export interface OtherKey {
  id: string;
  /** Whether it must stay in the configuration. */
  needed: boolean;
  reason: string | null;
}

/** The next round finds rows that were locked or written in this one. */
const maxRounds = 5;

const restForLocksMs = 200;

const maxRestMs = 500;
const maxUnopenedListed = 20;

/** @returns the number of rows to encrypt again. @throws {Problem} keys-wrong */
export async function countToRotate(scope: Scope, request: RotateRequest = {}): Promise<number> {
  await requireNewestFirst(scope, request);
  let count = 0;
  for (const table of sealedTableNames) count += await countOutdated(scope, table);
  return count;
}

/**
 * Encrypts every value with the first key, then deletes the rows of keys that no value needs. It keeps no state: after a
 * crash, or beside another rotation, it continues with the values that are left.
 *
 * @throws {Problem} keys-wrong
 */
export async function rotateKeys(scope: Scope, request: RotateRequest = {}): Promise<Rotated> {
  await requireNewestFirst(scope, request);
  const rotated: Rotated = {
    key: scope.keyring.newestId,
    resealed: 0,
    interrupted: false,
    unopened: { count: 0, first: [] },
    others: [],
  };
  for (let round = 1; round <= maxRounds; round++) {
    await resealAllTables(scope, rotated, request);
    if (request.stop?.aborted) return { ...rotated, interrupted: true };
    if ((await countToRotate(scope, { evenOlder: true })) <= rotated.unopened.count) break;
    await pause(restForLocksMs);
  }
  return { ...rotated, others: await deleteUnneeded(scope) };
}

async function resealAllTables(scope: Scope, rotated: Rotated, request: RotateRequest): Promise<void> {
  rotated.unopened = { count: 0, first: [] };
  for (const table of sealedTableNames) {
    let began = performance.now();
    for await (const batch of resealTable(scope, table)) {
      rotated.resealed += batch.resealed;
      rotated.unopened.count += batch.unopened.length;
      rotated.unopened.first.push(...batch.unopened.map((id) => ({ table, id })));
      rotated.unopened.first.splice(maxUnopenedListed);
      request.onProgress?.(rotated.resealed);
      if (request.stop?.aborted) return;
      // Rest as long as the batch took, because visitors' posts come first.
      await pause(Math.min(performance.now() - began, maxRestMs));
      began = performance.now();
    }
  }
}

/** @throws {Problem} keys-wrong if this would go back to an older key, probably by mistake. */
async function requireNewestFirst({ em, keyring }: Scope, request: RotateRequest): Promise<void> {
  if (request.evenOlder) return;
  const stored = await readStoredKeys(em.fork());
  const sealing = stored.find((it) => it.id === keyring.newestId);
  if (sealing === undefined) return;
  for (const { id, createdAt } of stored) {
    // Release 0.2.0 also stores keys that it only decrypts with: such a row says nothing about the key's age.
    if (createdAt <= sealing.createdAt || (await countRowsOfKey(em.fork(), id)) === 0) continue;
    throw new Problem(
      'keys-wrong',
      `key "${keyring.newestId}" is first in ENCRYPTION_KEYS and would encrypt everything, but "${id}" was added later: put the newer key first`,
      { needs: 'even-older' },
    );
  }
}

/**
 * A program that still encrypts with an old key can continue after the key's row is deleted. So the operator restarts
 * every program first and runs the rotation once more.
 */
async function deleteUnneeded({ em, keyring }: Scope): Promise<OtherKey[]> {
  const stored = await readStoredKeys(em.fork());
  const ids = new Set([...stored.map((it) => it.id), ...keyring.ids]);
  ids.delete(keyring.newestId);
  const others: OtherKey[] = [];
  for (const id of ids) {
    const rows = await deleteUnneededKey(em, id, keyring.describeNewest());
    const reason = rows === 0 ? null : `${rows} ${rows === 1 ? 'row needs' : 'rows need'} it`;
    others.push({ id, needed: rows > 0, reason });
  }
  return others;
}
