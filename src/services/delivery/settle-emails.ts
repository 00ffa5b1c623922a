import { setTimeout as pause, setImmediate as turnOfEvents } from 'node:timers/promises';
import type { Context } from '../../context.ts';
import { columns } from '../../database/columns.ts';
import { isOutage } from '../../database/outage.ts';
import { runStatement, type Statement } from '../../database/statement.ts';
import type { Outcome } from '../../mail/mailer.ts';
import { newId } from '../ids.ts';
import { failureEvents, insertDeliveries } from '../outbox.ts';
import { openScope, type Scope } from '../scope.ts';
import { replyPlace } from '../sealed-values.ts';
import { isOwner, tellSql } from './held-summary.ts';
import { type LeasedRow, leaseMs } from './job.ts';
import type { NextStep } from './retry-schedule.ts';

/** How one attempt ended, and what follows from it. */
export interface Settlement {
  email: Pick<LeasedRow, 'id' | 'leaseToken' | 'kind'>;
  startedAt: Date;
  outcome: Outcome;
  next: NextStep;
}

const outcomes = columns({
  email_id: 'uuid',
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
const settleStatement: Statement = { name: 'settle_emails_4', text: settleSql() };

/** For batches with a failed email: also stores what hooks are told about it. */
const hooked = `,
hooked as (${insertDeliveries(failureEvents("(select * from settled where state = 'failed')"))}
)`;
const settleFailuresStatement: Statement = { name: 'settle_failures_1', text: settleSql(hooked) };

/** For batches with a sent summary of held messages: also records that its recipient was told about them. */
const settleSummariesStatement: Statement = {
  name: 'settle_summaries_4',
  text: settleSql(`${hooked},
told as (${tellSql("emails.id in (select id from settled where state = 'sent')", isOwner(`$${outcomes.next}::text[]`))}
)`),
};

/** @param more further CTEs, which may read `settled`. */
function settleSql(more = ''): string {
  return `
with given as materialized (
  select * from ${outcomes.as('given')}
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
  returning emails.id, emails.state, emails.message_id
),
noted as (
  insert into attempts (id, email_id, outcome, code, reply, started_at, finished_at)
  select attempt_id, email_id, outcome, code, reply, now() - taken_ms * interval '1 millisecond', now()
  from given join settled on settled.id = given.email_id
  -- An outage adds one attempt to an email, however often it was tried.
  where given.outcome <> 'away' or (
    select outcome from attempts where email_id = given.email_id order by finished_at desc limit 1
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
  const now = scope.now();
  const rows = settlements.map(({ email, startedAt, outcome, next }) => {
    const attemptId = newId();
    return {
      email_id: email.id,
      lease_token: email.leaseToken,
      state: next.state,
      failure: next.failure,
      wait_ms: next.waitMs,
      counts: next.counts,
      attempt_id: attemptId,
      outcome: outcome.result,
      code: outcome.code ?? null,
      reply: scope.keyring.seal(outcome.reply, replyPlace(attemptId)),
      taken_ms: Math.max(0, now.getTime() - startedAt.getTime()),
    };
  });
  const tells = settlements.some((it) => it.email.kind === 'held-summary' && it.next.state === 'sent');
  const fails = settlements.some((it) => it.next.state === 'failed');
  const statement = tells ? settleSummariesStatement : fails ? settleFailuresStatement : settleStatement;
  const settled = await runStatement<{ id: string }>(scope.em, statement, [
    ...outcomes.values(rows),
    ...(tells ? [scope.config.notifyTo] : []),
  ]);
  return new Set(settled.map((row) => row.id));
}

/** Writes down how one attempt ended, and resolves when that is committed. */
export type Settle = (settlement: Settlement) => Promise<Written>;

/**
 * - `written`: committed.
 * - `lease-lost`: another worker has the email by now; nothing was changed.
 * - `unheard`: the database could not be reached while the lease lasted, or before this process had to end.
 */
export type Written = 'written' | 'lease-lost' | 'unheard';

interface Waiting {
  settlement: Settlement;
  lastTryAt: number;
  resolve: (written: Written) => void;
}

/** With one statement, the lanes would wait for the disk. With three, each would carry too little. */
const maxInFlight = 2;

/**
 * Writes outcomes to the database: at once if fewer than two statements run, otherwise in one batch when one of them is
 * committed. So an attempt waits for at most one other statement, and attempts that end together share a commit.
 * While the database is away, it retries until the lease has expired or this process has to end.
 */
export function createSettleQueue(context: Context, interrupt: AbortSignal): Settle {
  const scope = openScope(context);
  let waiting: Waiting[] = [];
  let inFlight = 0;

  async function writeAll(): Promise<void> {
    inFlight += 1;
    // Read replies that have already arrived first, so that the same statement writes their outcomes.
    await turnOfEvents();
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      const left = await write(batch);
      if (left.length === 0) continue;
      waiting = [...left, ...waiting];
      await pause(1000);
    }
    inFlight -= 1;
  }

  /** @returns the settlements to retry. */
  async function write(batch: Waiting[]): Promise<Waiting[]> {
    try {
      const settled = await settleEmails(
        scope,
        batch.map((it) => it.settlement),
      );
      for (const it of batch) it.resolve(settled.has(it.settlement.email.id) ? 'written' : 'lease-lost');
      return [];
    } catch (error) {
      // If it is not an outage, one settlement may be the cause: write them one by one.
      if (batch.length > 1 && !isOutage(error)) return (await Promise.all(batch.map((it) => write([it])))).flat();
      scope.log.error({ err: error, emails: batch.length }, 'outcome could not be written down yet');
      const isLate = (it: Waiting) => interrupt.aborted || Date.now() > it.lastTryAt;
      for (const it of batch.filter(isLate)) it.resolve('unheard');
      return batch.filter((it) => !isLate(it));
    }
  }

  return (settlement) =>
    new Promise((resolve) => {
      // Even a lease that was renewed just now has expired by then.
      waiting.push({ settlement, lastTryAt: Date.now() + leaseMs, resolve });
      if (inFlight < maxInFlight) void writeAll();
    });
}
