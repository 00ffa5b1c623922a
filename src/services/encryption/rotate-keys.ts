import { setTimeout as pause } from 'node:timers/promises';
import type { EntityManager } from '@mikro-orm/postgresql';
import { readSealingKeys } from '../../database/connection.ts';
import { keepKey, readKeyRows, retireKey } from '../../database/encryption-keys.ts';
import { type SealedTable, sealedTableNames } from '../../privacy/sealed-columns.ts';
import { Problem } from '../../problems.ts';
import type { Scope } from '../scope.ts';
import { readEncryptionStatus } from './encryption-status.ts';
import { countOutdated, resealTable } from './reseal-rows.ts';

export interface RotateRequest {
  /** Also where a key that was added later is configured as an older one. */
  evenOlder?: boolean;
  /** Ends between two batches; what was done until then stays done. */
  stop?: AbortSignal;
  onProgress?: (done: number) => void;
}

export interface Rotated {
  /** The id of the key that everything is to be sealed with. */
  key: string;
  /** Rows that were sealed anew. */
  resealed: number;
  interrupted: boolean;
  /** Rows left as they are, since a value in them does not open. */
  unopened: { count: number; first: { table: SealedTable; id: string }[] };
  /** What became of the other keys; empty where it was interrupted. */
  others: OtherKey[];
}

export interface OtherKey {
  id: string;
  /** Whether the configuration still has to have it. */
  needed: boolean;
  /** Why. */
  reason: string | null;
}

/** What was changed or locked while it was read is met again the next time through. */
const mostRounds = 5;

/** Between two batches, in milliseconds. */
const longestRestMs = 500;

/** More places than that nobody reads. */
const mostPlaces = 20;

/** How many rows there are to be sealed anew. @throws {Problem} keys-wrong, where that would go back to an older key. */
export async function countToRotate(scope: Scope, request: RotateRequest = {}): Promise<number> {
  await requireNewestFirst(scope, request);
  let count = 0;
  for (const table of sealedTableNames) count += await countOutdated(scope, table);
  return count;
}

/**
 * Seals every value with the newest key that another one sealed, and retires the keys that nothing needs then. Needs
 * no memory of its own: whoever runs it after a crash, or beside another, goes on where values are still to be done.
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
  for (let round = 1; round <= mostRounds; round++) {
    const before = rotated.resealed;
    const passedOver = await sealOnceThrough(scope, rotated, request);
    if (request.stop?.aborted) return { ...rotated, interrupted: true };
    if (passedOver === 0 && rotated.resealed === before) break;
  }
  return { ...rotated, others: await retireUnneeded(scope) };
}

async function sealOnceThrough(scope: Scope, rotated: Rotated, request: RotateRequest): Promise<number> {
  let passedOver = 0;
  rotated.unopened = { count: 0, first: [] };
  for (const table of sealedTableNames) {
    let began = performance.now();
    for await (const batch of resealTable(scope, table)) {
      rotated.resealed += batch.resealed;
      passedOver += batch.passedOver;
      rotated.unopened.count += batch.unopened.length;
      for (const id of batch.unopened)
        if (rotated.unopened.first.length < mostPlaces) rotated.unopened.first.push({ table, id });
      request.onProgress?.(rotated.resealed);
      if (request.stop?.aborted) return passedOver;
      // As long a rest as the batch took, within bounds: visitors go first, and nobody waits for a rotation.
      await pause(Math.min(performance.now() - began, longestRestMs));
      began = performance.now();
    }
  }
  return passedOver;
}

/** The first key of the configuration seals; an old one there by mistake would undo what was done. */
async function requireNewestFirst({ em, keyring }: Scope, request: RotateRequest): Promise<void> {
  if (request.evenOlder) return;
  const { stored, retired } = await readKeyRows(em.fork());
  // One that came back into use is old, whenever that was.
  const cameBack = new Set(retired.map((it) => it.id));
  const sealing = stored.find((it) => it.id === keyring.newestId);
  const newer = stored.find(
    (it) =>
      sealing !== undefined &&
      it !== sealing &&
      !cameBack.has(it.id) &&
      (cameBack.has(sealing.id) || it.createdAt > sealing.createdAt),
  );
  if (newer === undefined) return;
  throw new Problem(
    'keys-wrong',
    `key "${keyring.newestId}" stands first in ENCRYPTION_KEYS and would seal everything, but "${newer.id}" was added later: put that one first`,
    { needs: 'even-older' },
  );
}

/**
 * A key is kept as long as a value needs it or a program that seals with it is connected. Should one be sealed with a
 * key at the very moment when that is retired, it comes back into use.
 */
async function retireUnneeded(scope: Scope): Promise<OtherKey[]> {
  const { em, keyring } = scope;
  const { stored } = await readKeyRows(em.fork());
  const before = stored.filter((it) => it.id !== keyring.newestId);
  const [needs, sealing] = [await rowsByKey(em), await readSealingKeys(em)];
  const others: OtherKey[] = [];
  for (const { id } of before) {
    const reason = whyNeeded(id, needs.get(id) ?? 0, sealing);
    if (reason === null) await retireKey(em, id, keyring.describeNewest());
    others.push({ id, needed: reason !== null, reason });
  }
  if (!others.some((it) => !it.needed) || (await countToRotate(scope, { evenOlder: true })) === 0) return others;
  const late = await rowsByKey(em);
  for (const other of others) {
    const row = before.find((it) => it.id === other.id);
    const rows = late.get(other.id) ?? 0;
    if (other.needed || rows === 0 || row === undefined) continue;
    await keepKey(em, row);
    Object.assign(other, { needed: true, reason: whyNeeded(other.id, rows, sealing) });
  }
  return others;
}

async function rowsByKey(em: EntityManager): Promise<Map<string, number>> {
  const { keys } = await readEncryptionStatus(em, []);
  return new Map(keys.map((it) => [it.id, it.total]));
}

function whyNeeded(id: string, rows: number, sealing: { keys: Set<string>; untold: boolean }): string | null {
  if (sealing.keys.has(id)) {
    return 'a running program seals with it: put the new key first in its ENCRYPTION_KEYS, restart it, and rotate again';
  }
  if (rows > 0) return `${rows} ${rows === 1 ? 'row needs' : 'rows need'} it`;
  if (sealing.untold)
    return 'a program is connected that does not say what it seals with, as release 0.1.0 does not: upgrade and restart it, and rotate again';
  return null;
}
