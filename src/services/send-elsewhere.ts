import type { EntityManager } from '@mikro-orm/postgresql';
import { Email } from '../entities/index.ts';
import { copyEmail } from './copy-email.ts';
import type { Resent } from './resend-emails.ts';
import type { Scope } from './scope.ts';

/**
 * A notification that was not sent goes to another owner's address: it is cancelled, and a copy takes its place, unless
 * another one tells that address of the message already.
 */
export async function sendElsewhere(
  em: EntityManager,
  scope: Scope,
  email: Email,
  now: Date,
  to: string,
  dryRun = false,
): Promise<Pick<Resent, 'result' | 'newId' | 'reason'>> {
  const told = await isTold(em, email, to);
  const newId = dryRun || told ? null : copyEmail(em, scope, email, now, to);
  if (!dryRun) email.cancel();
  return told
    ? { result: 'skipped', newId, reason: 'cancelled: another one tells that address of the message' }
    : { result: 'queued', newId, reason: `instead of one to ${email.recipient}` };
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
