import { msSql, runStatement, type Statement } from '../../database/statement.ts';
import {
  type AttemptOutcome,
  type EmailKind,
  type EmailState,
  emailKinds,
  emailStates,
  type PauseCause,
} from '../../words.ts';
import { heldSince } from '../delivery/held-summary.ts';
import type { Scope } from '../scope.ts';
import { oldestQueuedSql } from './readiness.ts';

/** The state of this database's mail. Nothing in it is about a person. */
export interface MailCounts {
  /** Every pair of kind and state except `sent`, also with a count of 0, and pairs that only a later release knows. */
  emails: { kind: EmailKind; state: EmailState; count: number }[];
  oldestDueSeconds: number;
  oldestQueuedSeconds: number;
  heldMessages: number;
  oldestHeldSeconds: number;
  pausedFor: PauseCause | null;
  hookDeliveries: { queued: number; failed: number };
  oldestQueuedDeliverySeconds: number;
  /** Attempts that finished after `since`, in any process. */
  tries: { outcome: AttemptOutcome; seconds: number | null }[];
  /** Pass it as `since` the next time. */
  until: Date;
}

/**
 * `finished_at` is when the statement began, and the commit comes later. The last seconds are left for the next read, so
 * that a late commit does not fall between two reads.
 */
const settledAfter = `interval '5 seconds'`;

/** Counts only unsent emails. They stay few, and the index on states finds them. */
export const mailCountsStatement: Statement = {
  name: 'numbers_6',
  text: `
select
  (select coalesce(json_agg(json_build_object('kind', kind, 'state', state, 'count', n)), '[]')
    from (select kind, state, count(*) as n from emails where state < 'sent' or state > 'sent' group by kind, state) as by_state) as emails,
  (select coalesce(extract(epoch from now() - min(due_at)), 0)::float8
    from emails where state = 'queued' and due_at <= now()) as oldest_due,
  ${oldestQueuedSql} as oldest_queued,
  (select count(*)::int from messages where status = 'held') as held,
  (select coalesce(extract(epoch from now() - min(${heldSince})), 0)::float8 from messages where status = 'held') as oldest_held,
  (select case when cause = 'broken' and is_away then 'away' else cause end from mail_queue where paused_at is not null) as paused,
  (select coalesce(json_agg(json_build_object(
      'outcome', outcome, 'seconds', extract(epoch from finished_at - started_at)::float8)), '[]')
    from attempts where finished_at > coalesce(to_timestamp($1::float8 / 1000), now() - $2::float8 * interval '1 millisecond') and finished_at <= now() - ${settledAfter}) as tries,
  (select json_build_object('queued', count(*) filter (where state = 'queued'), 'failed', count(*) filter (where state = 'failed'))
    from hook_deliveries where state in ('queued', 'failed')) as hook_deliveries,
  (select coalesce(extract(epoch from now() - min(coalesce(requeued_at, hook_deliveries.created_at))), 0)::float8
    from hook_deliveries join hooks on hooks.id = hook_id where hook_deliveries.state = 'queued' and hooks.state = 'active') as oldest_queued_delivery,
  ${msSql(`now() - ${settledAfter}`)} as until_ms`,
};

interface MailCountsRow {
  emails: MailCounts['emails'];
  oldest_due: number;
  oldest_queued: number;
  held: number;
  oldest_held: number;
  paused: PauseCause | null;
  tries: MailCounts['tries'];
  hook_deliveries: MailCounts['hookDeliveries'];
  oldest_queued_delivery: number;
  until_ms: number;
}

const unsentStates = emailStates.filter((state) => state !== 'sent');

/**
 * Reads all counts in one statement.
 *
 * @param since `until` of the last read, or for the first one how long ago this process started: its clock may be wrong.
 */
export async function readMailCounts(scope: Scope, since: Date | { agoMs: number }): Promise<MailCounts> {
  const [last, agoMs] = since instanceof Date ? [since.getTime(), null] : [null, since.agoMs];
  const [row] = await runStatement<MailCountsRow>(scope.em, mailCountsStatement, [last, agoMs]);
  if (row === undefined) throw new Error('a statement without a table gives one row');
  const counts = new Map(row.emails.map((it) => [`${it.kind} ${it.state}`, it.count]));
  const isUnknown = (it: MailCounts['emails'][number]) =>
    !emailKinds.includes(it.kind) || !emailStates.includes(it.state);
  return {
    emails: [
      ...row.emails.filter(isUnknown),
      ...emailKinds.flatMap((kind) =>
        unsentStates.map((state) => ({ kind, state, count: counts.get(`${kind} ${state}`) ?? 0 })),
      ),
    ],
    oldestDueSeconds: Math.max(0, row.oldest_due),
    oldestQueuedSeconds: Math.max(0, row.oldest_queued),
    heldMessages: row.held,
    oldestHeldSeconds: Math.max(0, row.oldest_held),
    pausedFor: row.paused,
    hookDeliveries: row.hook_deliveries,
    oldestQueuedDeliverySeconds: Math.max(0, row.oldest_queued_delivery),
    tries: row.tries,
    until: new Date(row.until_ms),
  };
}
