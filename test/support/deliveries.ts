import { randomUUID } from 'node:crypto';
import type { Context } from '../../src/context.ts';
import { newHookSecret } from '../../src/hooks/webhook.ts';
import type { HookKind } from '../../src/words.ts';
import type { TestDatabase } from './database.ts';

export interface TestHook {
  readonly id: string;
  readonly name: string;
  readonly secret: string;
  /** Encrypts a value for its row. */
  seal(column: 'url' | 'secret' | 'former_secret', text: string): Buffer;
}

/** An active hook as `hooks add` stores it. Without events, a test stores its deliveries with `queueDeliveries`. */
export async function buildHook(
  db: TestDatabase,
  { keyring }: Pick<Context, 'keyring'>,
  url: string,
  options: { kind?: HookKind; events?: string[]; withContent?: boolean } = {},
): Promise<TestHook> {
  const [id, secret] = [randomUUID(), newHookSecret()];
  const hook: TestHook = {
    id,
    name: `hook-${id}`,
    secret,
    seal: (column, text) => keyring.seal(text, { table: 'hooks', column, row: id }),
  };
  const { kind = 'webhook', events = [], withContent = false } = options;
  await db.query(
    `insert into hooks (id, name, kind, state, url, secret, events, with_content, created_at)
     values ($1, $2, $3, 'active', $4, $5, $6, $7, now())`,
    [id, hook.name, kind, hook.seal('url', url), hook.seal('secret', secret), events, withContent],
  );
  return hook;
}

/** A delivery about each message that is stored, due now. @returns their ids. */
export async function queueDeliveries(db: TestDatabase, hook: TestHook, event = 'message.accepted'): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `insert into hook_deliveries (id, hook_id, event, state, message_id, due_at, created_at)
     select gen_random_uuid(), $1, $2, 'queued', id, now() - interval '1 second', now() from messages returning id`,
    [hook.id, event],
  );
  return rows.map((row) => row.id);
}

/** Lets time pass: every delivery is due, every lease is over, and every hook may be tried. */
export async function makeDeliveriesDue(db: TestDatabase): Promise<void> {
  await db.query(`update hook_deliveries set due_at = now() - interval '1 second' where state = 'queued'`);
  await db.query('update hooks set quiet_until = null');
}
