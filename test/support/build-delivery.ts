import type { Context } from '../../src/context.ts';
import { newId } from '../../src/services/ids.ts';
import type { AttemptOutcome, DeliveryState, HookState } from '../../src/words.ts';
import type { TestDatabase } from './database.ts';

interface Built {
  /** Its name. It is stored if there is none. */
  hook?: string;
  hookState?: HookState;
  state?: DeliveryState;
  messageId?: string | undefined;
  /** How its last attempt ended. */
  outcome?: AttemptOutcome;
  code?: number;
  reply?: string;
}

/** A hook's delivery with an attempt, as a worker would leave them. @returns the id of the delivery. */
export async function buildDelivery(
  db: Pick<TestDatabase, 'query'>,
  { keyring }: Pick<Context, 'keyring'>,
  { hook = 'own', hookState = 'active', state = 'queued', messageId, outcome, code, reply = '' }: Built,
): Promise<string> {
  const [id, attempt] = [newId(), newId()];
  await db.query(
    `insert into hooks (id, name, kind, state, url, events, created_at)
     values ($1, $2, 'webhook', $3, '', '{message.accepted}', now()) on conflict do nothing`,
    [newId(), hook, hookState],
  );
  await db.query(
    `insert into hook_deliveries (id, hook_id, event, state, message_id, due_at, created_at, failure)
     select $1, id, 'message.accepted', $3, $4, now() + interval '1 hour', now(), $5 from hooks where name = $2`,
    [id, hook, state, messageId, state === 'failed' ? 'schedule-ended' : null],
  );
  if (outcome === undefined) return id;
  await db.query(
    `insert into hook_attempts (id, delivery_id, outcome, code, reply, started_at, finished_at)
     values ($1, $2, $3, $4, $5, now(), now())`,
    [attempt, id, outcome, code, keyring.seal(reply, { table: 'hook_attempts', column: 'reply', row: attempt })],
  );
  return id;
}
