import { type EntityManager, FlushMode, LockMode } from '@mikro-orm/postgresql';
import { validate as isUuid } from 'uuid';
import { inTransaction } from '../../database/statement.ts';
import { Email } from '../../entities/index.ts';
import { Problem, type ProblemCode } from '../../problems.ts';
import { type EmailState, emailStates } from '../../words.ts';
import { databaseNow } from '../clock.ts';
import { tellCancelled } from '../delivery/held-summary.ts';
import { closeDigests } from '../digest.ts';
import type { Scope } from '../scope.ts';

export interface Cancelled {
  id: string;
  result: 'cancelled' | 'already-cancelled' | 'refused' | 'not-found';
  /** Its state before; null if there is no such email. */
  state: EmailState | null;
  code: Extract<ProblemCode, 'email-unknown' | 'email-leased' | 'email-not-cancellable'> | null;
  /** Why it was not cancelled. */
  reason: string | null;
}

/**
 * Cancels queued, held and failed emails: they are kept with their attempts, and are never sent. An email that a worker may
 * be sending at this moment cannot be cancelled.
 *
 * @param dryRun only reports what would happen.
 * @returns one result for each id, in their order.
 */
export async function cancelEmails(scope: Scope, ids: readonly string[], dryRun = false): Promise<Cancelled[]> {
  if (dryRun) return (await decide(scope.em.fork({ flushMode: FlushMode.COMMIT }), ids)).results;
  return await inTransaction(scope.em, async (em) => {
    const { results, byId } = await decide(em, ids, LockMode.PESSIMISTIC_WRITE);
    const cancelled = results.flatMap((it) => (it.result === 'cancelled' ? [byId.get(it.id.toLowerCase())] : []));
    const summaries = cancelled.flatMap((it) => (it?.kind === 'held-summary' ? [it.id] : []));
    if (summaries.length > 0) await tellCancelled(em, scope.config, summaries);
    // A message that comes after this decision is not part of it.
    await closeDigests(
      em,
      cancelled.flatMap((it) => it?.digestId ?? []),
    );
    return results;
  });
}

/** Changes the emails in the memory of `em` only. */
async function decide(em: EntityManager, ids: readonly string[], lockMode?: LockMode.PESSIMISTIC_WRITE) {
  const emails = await em.find(
    Email,
    { id: { $in: ids.filter((id) => isUuid(id)) } },
    // Workers skip locked emails. The order is that of `resendEmails`, so that the two never deadlock.
    { orderBy: { id: 'asc' }, refresh: true, ...(lockMode && { lockMode }) },
  );
  const now = await databaseNow(em);
  const byId = new Map(emails.map((email) => [email.id, email]));
  return { byId, results: [...new Set(ids)].map((id) => cancelOne(id, byId.get(id.toLowerCase()), now)) };
}

/** @returns false if it was cancelled before. @throws {Problem} email-unknown, email-leased, email-not-cancellable */
export async function cancelEmail(scope: Scope, id: string): Promise<boolean> {
  const [cancelled] = await cancelEmails(scope, [id]);
  if (cancelled?.code != null) throw new Problem(cancelled.code, `email ${id}: ${cancelled.reason}`);
  return cancelled?.result === 'cancelled';
}

function cancelOne(id: string, email: Email | undefined, now: Date): Cancelled {
  const state = email?.state ?? null;
  const answer = (result: Cancelled['result'], code: Cancelled['code'] = null, reason: string | null = null) => ({
    id,
    result,
    state,
    code,
    reason,
  });
  if (email === undefined) return answer('not-found', 'email-unknown', 'there is no such email');
  if (email.isLeased(now)) return answer('refused', 'email-leased', 'is being sent at this moment');
  if (email.state === 'cancelled') return answer('already-cancelled');
  if (email.state === 'sent') return answer('refused', 'email-not-cancellable', 'was sent already');
  if (!emailStates.includes(email.state)) {
    const reason = `is in a state that this release does not know: ${email.state}`;
    return answer('refused', 'email-not-cancellable', reason);
  }
  email.cancel();
  return answer('cancelled');
}
