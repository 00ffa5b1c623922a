import type { EntityManager } from '@mikro-orm/postgresql';
import { Email } from '../entities/index.ts';
import { copyEmail } from './copy-email.ts';
import type { Resent } from './resend-emails.ts';
import type { Scope } from './scope.ts';

/**
 * A notification that was not sent goes to another owner's address: it is cancelled, and a copy takes its place, unless
 * another one tells that address of the message already.
 *
 * @param planned where nothing is written: the ids of the messages that a copy was announced for; of each there is one.
 */
export async function sendElsewhere(
  em: EntityManager,
  scope: Scope,
  email: Email,
  now: Date,
  to: string,
  planned: Set<string> | undefined,
): Promise<Pick<Resent, 'result' | 'newId' | 'reason'>> {
  const about = email.message?.id ?? '';
  const told = planned?.has(about) || (await isTold(em, email, to));
  const newId = planned || told ? null : copyEmail(em, scope, email, now, to);
  if (planned) planned.add(about);
  else email.cancel();
  return told
    ? { result: 'skipped', newId, reason: 'cancelled: another one tells that address of the message' }
    : { result: 'queued', newId, reason: `instead of one to ${email.recipient}` };
}

/** Key of the advisory lock that lets one at a time send elsewhere; any constant number does. */
const elsewhereLock = 7_226_946;

/**
 * Waits for whoever else sends elsewhere: of two mails about one message each would lock another row, and neither see
 * the other's copy.
 *
 * @param em in a transaction, before it locks any row.
 */
export async function takeTurn(em: EntityManager): Promise<void> {
  await em.execute(`select pg_advisory_xact_lock(${elsewhereLock})`);
}

/** Whether a notification of the same message went to this address, or waits to. */
async function isTold(em: EntityManager, email: Email, to: string): Promise<boolean> {
  const told = await em.find(Email, {
    message: email.message ?? null,
    kind: 'notification',
    recipient: to,
    state: { $in: ['queued', 'sent'] },
  });
  return told.some((it) => it !== email);
}
