import { columns } from '../../database/columns.ts';
import { runStatement, type Statement } from '../../database/statement.ts';
import { newId } from '../ids.ts';
import { failureEvents, insertDeliveries } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { replyPlace } from '../sealed-values.ts';
import { isOwner, tellSql } from './held-summary.ts';
import { emailTable, type JobTable, type Settlement } from './job.ts';

/** The parameters of a statement that settles rows. */
export const outcomes = columns({
  row_id: 'uuid',
  lease_token: 'uuid',
  state: 'text',
  failure: 'text',
  wait_ms: 'float8',
  counts: 'bool',
  attempt_id: 'uuid',
  outcome: 'text',
  code: 'int',
  reply: 'bytea',
  taken_ms: 'float8',
});

/**
 * The token is a fencing token (Kleppmann, "How to do distributed locking"): only the worker whose token the row still has
 * changes it and adds an attempt.
 */
const settleStatement: Statement = { name: 'settle_emails_4', text: settleSql(emailTable) };

/** For batches with a failed email: also stores what hooks are told about it. */
const hooked = `,
hooked as (${insertDeliveries(failureEvents("(select * from settled where state = 'failed')"))}
)`;
const settleFailuresStatement: Statement = { name: 'settle_failures_1', text: settleSql(emailTable, hooked) };

/** For batches with a sent summary of held messages: also records that its recipient was told about them. */
const settleSummariesStatement: Statement = {
  name: 'settle_summaries_4',
  text: settleSql(
    emailTable,
    `${hooked},
told as (${tellSql("emails.id in (select id from settled where state = 'sent')", isOwner(`$${outcomes.next}::text[]`))}
)`,
  ),
};

/** @param more further CTEs, which may read `given` and `settled`. */
export function settleSql({ rows, attempts, reference }: JobTable, more = ''): string {
  return `
with given as materialized (
  select * from ${outcomes.as('given')}
),
settled as (
  update ${rows} set
    state = given.state,
    failure = given.failure,
    lease_token = null,
    due_at = now() + given.wait_ms * interval '1 millisecond',
    tries = case when given.counts then ${rows}.tries else ${rows}.tries - 1 end,
    sent_at = case given.state when 'sent' then now() end
  from given
  where ${rows}.id = given.row_id and ${rows}.lease_token = given.lease_token
  returning ${rows}.id, ${rows}.state, ${rows}.message_id
),
noted as (
  insert into ${attempts} (id, ${reference}, outcome, code, reply, started_at, finished_at)
  select attempt_id, row_id, outcome, code, reply, now() - taken_ms * interval '1 millisecond', now()
  from given join settled on settled.id = given.row_id
  -- An outage of the mail server adds one attempt to an email, however often it was tried.
  where given.outcome <> 'away' or given.counts or (
    select outcome from ${attempts} where ${reference} = given.row_id order by finished_at desc limit 1
  ) is distinct from 'away'
)${more}
select id from settled`;
}

/**
 * Writes down how attempts ended. Committed when this returns.
 *
 * @returns the ids of the emails whose lease this worker still had; the others are unchanged.
 */
export async function settleEmails(scope: Scope, settlements: readonly Settlement[]): Promise<Set<string>> {
  const tells = settlements.some((it) => it.row.kind === 'held-summary' && it.next.state === 'sent');
  const fails = settlements.some((it) => it.next.state === 'failed');
  const statement = tells ? settleSummariesStatement : fails ? settleFailuresStatement : settleStatement;
  return await settleRows(scope, emailTable, statement, settlements, tells ? [scope.config.notifyTo] : []);
}

/** The same for rows of any table. @param more the parameters after `outcomes`. */
export async function settleRows(
  scope: Scope,
  { attempts }: JobTable,
  statement: Statement,
  settlements: readonly Settlement[],
  more: unknown[],
): Promise<Set<string>> {
  const now = scope.now();
  const rows = settlements.map(({ row, startedAt, outcome, next }) => {
    const attemptId = newId();
    return {
      row_id: row.id,
      lease_token: row.leaseToken,
      state: next.state,
      failure: next.failure,
      wait_ms: next.waitMs,
      counts: next.counts,
      attempt_id: attemptId,
      outcome: outcome.result,
      code: outcome.code ?? null,
      reply: scope.keyring.seal(outcome.reply, replyPlace(attemptId, attempts)),
      taken_ms: Math.max(0, now.getTime() - startedAt.getTime()),
    };
  });
  const settled = await runStatement<{ id: string }>(scope.em, statement, [...outcomes.values(rows), ...more]);
  return new Set(settled.map((row) => row.id));
}
