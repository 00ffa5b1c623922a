import { normaliseAddress } from '../../address.ts';
import { runStatement, type Statement } from '../../database/statement.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import { Problem } from '../../problems.ts';
import type { Scope } from '../scope.ts';
import type { MessageContent } from '../sealed-values.ts';
import type { StoreResult } from './verdict.ts';

/** What makes two posts the same one. */
export interface PostIdentity {
  formId: string;
  /** Keyed hash of the idempotency key; null without one. */
  key: Buffer | null;
  /** Of the form and all that was posted to be kept. Without a key it alone tells a double click. */
  fingerprint: Buffer;
}

export function postIdentity(
  keyring: Keyring,
  formId: string,
  content: MessageContent,
  idempotencyKey: string | undefined,
): Omit<PostIdentity, 'formId'> {
  const posted = { ...content, address: normaliseAddress(content.address) };
  return {
    key: idempotencyKey === undefined ? null : keyring.keyIndex(idempotencyKey),
    // "key" is what releases before this one wrote there.
    fingerprint: keyring.fingerprint(JSON.stringify(['key', formId, posted])),
  };
}

const findStatement: Statement = {
  name: 'find_first_answers_1',
  text: `
select given.n::int as n, messages.id, messages.receipt,
  (extract(epoch from messages.received_at) * 1000)::float8 as received_ms,
  coalesce(message_keys.fingerprint <> given.fingerprint, false) as reused
from unnest($1::uuid[], $2::bytea[], $3::bytea[]) with ordinality as given (form_id, key, fingerprint, n)
  left join message_keys on message_keys.form_id = given.form_id and message_keys.key = given.key
    and message_keys.stored_at > now() - interval '24 hours'
  left join recent_posts on given.key is null and recent_posts.fingerprint = given.fingerprint
    and recent_posts.stored_at > now() - interval '10 minutes'
  join messages on messages.id = coalesce(message_keys.message_id, recent_posts.message_id)`,
};

interface FoundRow {
  n: number;
  id: string;
  receipt: string;
  received_ms: number;
  reused: boolean;
}

/**
 * Looks up what the first of the same posts was answered.
 *
 * @returns one entry for each post, in their order; undefined where there was no first one.
 */
export async function findFirstAnswers(
  scope: Scope,
  posts: readonly PostIdentity[],
): Promise<(StoreResult | undefined)[]> {
  const rows = await runStatement<FoundRow>(scope.em, findStatement, [
    posts.map((it) => it.formId),
    posts.map((it) => it.key),
    posts.map((it) => it.fingerprint),
  ]);
  const found = new Map(rows.map((row) => [row.n, row]));
  return posts.map((_, index) => {
    const row = found.get(index + 1);
    if (row === undefined) return undefined;
    if (row.reused) {
      return {
        refused: new Problem('idempotency-key-reused', 'this Idempotency-Key was used for another post before'),
      };
    }
    return { stored: { id: row.id, receipt: row.receipt, receivedAt: new Date(row.received_ms) }, repeated: true };
  });
}

/** The advisory lock under which the same post is stored once. */
export function repeatLock(post: Pick<PostIdentity, 'key' | 'fingerprint'>): bigint {
  return (post.key ?? post.fingerprint).readBigInt64BE(8);
}

const busyStatement: Statement = {
  name: 'repeat_busy_1',
  text: 'select not bool_and(pg_try_advisory_xact_lock(key)) as busy from unnest($1::bigint[]) as key',
};

/** Whether one of these posts is being stored by somebody else right now. */
export async function isRepeatBeingStored(scope: Scope, posts: readonly PostIdentity[]): Promise<boolean> {
  const locks = posts.map((it) => String(repeatLock(it)));
  const [row] = await runStatement<{ busy: boolean }>(scope.em, busyStatement, [locks]);
  return row?.busy === true;
}
