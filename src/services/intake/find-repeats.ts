import { normaliseAddress } from '../../address.ts';
import { columns } from '../../database/columns.ts';
import { msSql, runStatement, type Statement } from '../../database/statement.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import { Problem } from '../../problems.ts';
import type { Scope } from '../scope.ts';
import type { MessageContent } from '../sealed-values.ts';
import type { StoreResult } from './verdict.ts';

/** Two posts with the same identity are stored once. */
export interface PostIdentity {
  form_id: string;
  /** Keyed hash of the idempotency key; null without one. */
  key: Buffer | null;
  /** Keyed hash of the form and all stored content. Without an idempotency key, it recognises a double click. */
  fingerprint: Buffer;
}

export function postIdentity(
  keyring: Keyring,
  formId: string,
  content: MessageContent,
  idempotencyKey: string | undefined,
): Omit<PostIdentity, 'form_id'> {
  const { address } = content;
  const posted = { ...content, ...(address !== undefined && { address: normaliseAddress(address) }) };
  return {
    key: idempotencyKey === undefined ? null : keyring.keyIndex(idempotencyKey),
    // Older releases wrote "key" here; the hash must stay the same.
    fingerprint: keyring.fingerprint(JSON.stringify(['key', formId, posted])),
  };
}

const identities = columns({ form_id: 'uuid', key: 'bytea', fingerprint: 'bytea' });

const findStatement: Statement = {
  name: 'find_repeats_1',
  text: `
select given.n::int as n, messages.id, messages.receipt,
  ${msSql('messages.received_at')} as received_ms,
  coalesce(message_keys.fingerprint <> given.fingerprint, false) as reused
from ${identities.as('given')}
  left join message_keys on message_keys.form_id = given.form_id and message_keys.key = given.key
    and message_keys.stored_at > now() - interval '24 hours'
  left join recent_posts on given.key is null and recent_posts.fingerprint = given.fingerprint
    and recent_posts.stored_at > now() - interval '10 minutes'
  join messages on messages.id = coalesce(message_keys.message_id, recent_posts.message_id)`,
};

type FoundRow = { n: number; id: string; receipt: string; received_ms: number; reused: boolean };

/**
 * Finds the answers to earlier posts that these posts repeat.
 *
 * @returns one entry for each post, in their order; undefined for a post that repeats nothing.
 */
export async function findRepeats(scope: Scope, posts: readonly PostIdentity[]): Promise<(StoreResult | undefined)[]> {
  const rows = await runStatement<FoundRow>(scope.em, findStatement, identities.values(posts));
  const found = new Map(rows.map((row) => [row.n, row]));
  return posts.map((_, index) => {
    const row = found.get(index + 1);
    if (row === undefined) return undefined;
    const reused = 'this Idempotency-Key was used for another post before';
    if (row.reused) return { refused: new Problem('idempotency-key-reused', reused) };
    return { stored: { id: row.id, receipt: row.receipt, receivedAt: new Date(row.received_ms) }, repeated: true };
  });
}

/** The advisory lock that makes sure the same post is stored once. */
export function repeatLock(post: Pick<PostIdentity, 'key' | 'fingerprint'>): bigint {
  return (post.key ?? post.fingerprint).readBigInt64BE(8);
}

const busyStatement: Statement = {
  name: 'repeat_busy_1',
  text: 'select not bool_and(pg_try_advisory_xact_lock(key)) as busy from unnest($1::bigint[]) as key',
};

/** Whether another statement is storing one of these posts right now. */
export async function isRepeatBeingStored(scope: Scope, posts: readonly PostIdentity[]): Promise<boolean> {
  const locks = posts.map((it) => String(repeatLock(it)));
  const [{ busy }] = (await runStatement(scope.em, busyStatement, [locks])) as [{ busy: boolean }];
  return busy;
}
