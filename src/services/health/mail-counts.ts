import { runStatement, type Statement } from '../../database/statement.ts';
import {
  type AttemptOutcome,
  type EmailKind,
  type EmailState,
  emailKinds,
  emailStates,
  type PauseCause,
} from '../../entities/index.ts';
import { heldSince } from '../delivery/held-summary.ts';
import { beforeAllIds } from '../paging.ts';
import type { Scope } from '../scope.ts';

/** The state of this database's mail. None of it is about a single person. */
export interface Numbers {
  /** Every pair of kind and state, also those there are none of; `sent` once they were counted (`sent-count.ts`). */
  emails: { kind: EmailKind; state: EmailState; count: number }[];
  oldestDueSeconds: number;
  heldMessages: number;
  oldestHeldSeconds: number;
  pausedFor: PauseCause | null;
  /** Tries that ended after `since`, by whatever process. */
  tries: { outcome: AttemptOutcome; seconds: number | null }[];
  /** To be given as `since` the next time. */
  until: Date;
}

/**
 * A row counts as ended at the start of the statement that writes it, so the last seconds are left for the next
 * time: one that is committed late must not fall between two looks.
 */
const settledAfter = `interval '5 seconds'`;

/** Of the emails only those that were not sent, which the index on states finds: they stay few. */
export const numbersStatement: Statement = {
  name: 'numbers_3',
  text: `
select
  (select coalesce(json_agg(json_build_object('kind', kind, 'state', state, 'count', n)), '[]')
    from (select kind, state, count(*) as n from emails where state = any($3::text[]) group by kind, state) as by_state) as emails,
  (select coalesce(extract(epoch from now() - min(due_at)), 0)::float8
    from emails where state = 'queued' and due_at <= now()) as oldest_due,
  (select count(*)::int from messages where status = 'held') as held,
  (select coalesce(extract(epoch from now() - min(${heldSince})), 0)::float8 from messages where status = 'held') as oldest_held,
  (select cause from mail_queue where paused_at is not null) as paused,
  (select coalesce(json_agg(json_build_object(
      'outcome', outcome, 'seconds', extract(epoch from finished_at - started_at)::float8)), '[]')
    from attempts where finished_at > coalesce(to_timestamp($1::float8 / 1000), now() - $2::float8 * interval '1 millisecond') and finished_at <= now() - ${settledAfter}) as tries,
  (extract(epoch from now() - ${settledAfter}) * 1000)::float8 as until_ms`,
};

interface NumbersRow {
  emails: Numbers['emails'];
  oldest_due: number;
  held: number;
  oldest_held: number;
  paused: PauseCause | null;
  tries: Numbers['tries'];
  until_ms: number;
}

const unsentStates = emailStates.filter((state) => state !== 'sent');

/**
 * Reads all of them at one moment, but for those that were sent.
 *
 * @param since the last time's `until`, or how many milliseconds ago this process began to count: the two clocks may differ.
 */
export async function readNumbers(
  scope: Scope,
  since: Date | { agoMs: number },
  sentCount: SentCount,
): Promise<Numbers> {
  const [last, agoMs] = since instanceof Date ? [since.getTime(), null] : [null, since.agoMs];
  const [row] = await runStatement<NumbersRow>(scope.em, numbersStatement, [last, agoMs, unsentStates]);
  if (row === undefined) throw new Error('a statement without a table gives one row');
  const sent = await sentCount.look(scope);
  const counts = new Map(row.emails.map((it) => [`${it.kind} ${it.state}`, it.count]));
  return {
    emails: [
      ...emailKinds.flatMap((kind) =>
        unsentStates.map((state) => ({ kind, state, count: counts.get(`${kind} ${state}`) ?? 0 })),
      ),
      ...[...(sent ?? [])].map(([kind, count]) => ({ kind, state: 'sent' as const, count })),
    ],
    oldestDueSeconds: Math.max(0, row.oldest_due),
    heldMessages: row.held,
    oldestHeldSeconds: Math.max(0, row.oldest_held),
    pausedFor: row.paused,
    tries: row.tries,
    until: new Date(row.until_ms),
  };
}

/** So many that a look takes some ten milliseconds, and two million are counted by forty of them. */
const atOnceUsually = 50_000;

const sentStatement: Statement = {
  name: 'count_sent_1',
  text: `
with next as (select kind, id from emails where state = 'sent' and id > $1::uuid order by id limit $2::int)
select kind, count(*)::int as count, max(id::text) as last from next group by kind`,
};

/**
 * Counts the emails that were sent, which become ever more: each look goes on where the one before it ended, so that it
 * costs the same however many there are, and tells what they were when the last one came to the end.
 */
export interface SentCount {
  /** @returns by kind; nothing before they were counted once. */
  look(scope: Pick<Scope, 'em'>): Promise<ReadonlyMap<EmailKind, number> | undefined>;
}

export function openSentCount(atOnce = atOnceUsually): SentCount {
  let after = beforeAllIds;
  let counting = none();
  let counted: ReadonlyMap<EmailKind, number> | undefined;
  return {
    async look({ em }) {
      const rows = await runStatement<{ kind: EmailKind; count: number; last: string }>(em, sentStatement, [
        after,
        atOnce,
      ]);
      for (const { kind, count, last } of rows) {
        counting.set(kind, (counting.get(kind) ?? 0) + count);
        if (last > after) after = last;
      }
      if (rows.reduce((sum, it) => sum + it.count, 0) < atOnce) {
        counted = counting;
        counting = none();
        after = beforeAllIds;
      }
      return counted;
    },
  };
}

function none(): Map<EmailKind, number> {
  return new Map(emailKinds.map((kind) => [kind, 0]));
}
