import { runStatement, type Statement } from '../database/statement.ts';
import type { AttemptOutcome } from '../entities/index.ts';
import type { ClaimedEmail } from './claim-due.ts';
import { newId } from './ids.ts';
import type { NextStep } from './retry-schedule.ts';
import type { Scope } from './scope.ts';
import { replyPlace } from './sealed-values.ts';

/** How one try ended, and what follows from it. */
export interface Settlement {
  email: Pick<ClaimedEmail, 'id' | 'leaseToken'>;
  startedAt: Date;
  outcome: { result: AttemptOutcome; code?: number; reply: string };
  next: NextStep;
}

/**
 * Only the worker whose token the row still bears changes it (a fencing token: Kleppmann, "How to do distributed
 * locking"), and only it leaves an attempt.
 */
const settleStatement: Statement = {
  name: 'settle_emails_1',
  text: `
with given as materialized (
  select * from unnest(
    $1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::float8[], $6::bool[],
    $7::uuid[], $8::text[], $9::int[], $10::bytea[], $11::float8[]
  ) as given (email_id, lease_token, state, failure, wait_ms, counts, attempt_id, outcome, code, reply, taken_ms)
),
settled as (
  update emails set
    state = given.state,
    failure = given.failure,
    lease_token = null,
    due_at = now() + given.wait_ms * interval '1 millisecond',
    tries = case when given.counts then emails.tries else emails.tries - 1 end,
    sent_at = case given.state when 'sent' then now() end
  from given
  where emails.id = given.email_id and emails.lease_token = given.lease_token
  returning emails.id
),
noted as (
  insert into attempts (id, email_id, outcome, code, reply, started_at, finished_at)
  select attempt_id, email_id, outcome, code, reply, now() - taken_ms * interval '1 millisecond', now()
  from given join settled on settled.id = given.email_id
)
select id from settled`,
};

/**
 * Writes down how tries ended: first thing after the mail server's answer, and committed when this returns.
 *
 * @returns the ids of the emails that were still this worker's; the others were changed in nothing.
 */
export async function settleEmails(scope: Scope, settlements: readonly Settlement[]): Promise<Set<string>> {
  const now = scope.now();
  const rows = settlements.map((it) => ({ ...it, attemptId: newId() }));
  const settled = await runStatement<{ id: string }>(scope.em, settleStatement, [
    rows.map((it) => it.email.id),
    rows.map((it) => it.email.leaseToken),
    rows.map((it) => it.next.state),
    rows.map((it) => it.next.failure),
    rows.map((it) => it.next.waitMs),
    rows.map((it) => it.next.counts),
    rows.map((it) => it.attemptId),
    rows.map((it) => it.outcome.result),
    rows.map((it) => it.outcome.code ?? null),
    rows.map((it) => scope.keyring.seal(it.outcome.reply, replyPlace(it.attemptId))),
    rows.map((it) => Math.max(0, now.getTime() - it.startedAt.getTime())),
  ]);
  return new Set(settled.map((row) => row.id));
}
