import { msSql } from '../../database/statement.ts';
import { dayMs } from '../clock.ts';
import { findFormId } from '../forms/forms.ts';
import { idsOf } from '../paging.ts';
import type { Scope } from '../scope.ts';

/**
 * Percentiles (nearest rank) of the time from creating an email until a mail server accepted it, also while its message
 * was held, and while it had failed before a resend.
 */
export interface DeliveryTimes {
  /** How many were delivered. */
  emails: number;
  p50Ms: number | null;
  p95Ms: number | null;
  p99Ms: number | null;
}

export interface Counts {
  messages: number;
  /** How many of them are held now. */
  held: number;
}

/** Messages and delivery times by day in UTC, newest first. Nothing in it is about a person. */
export interface Stats extends Counts {
  since: string;
  form: string | null;
  /** From 0 to 1; null without messages. */
  heldShare: number | null;
  delivery: DeliveryTimes;
  days: (Counts & { day: string; delivery: DeliveryTimes })[];
}

/**
 * @param request `days`: how many, including today.
 * @throws {Problem} form-unknown
 */
export async function readStats(scope: Scope, request: { days: number; form?: string }): Promise<Stats> {
  const today = Math.floor(scope.now().getTime() / dayMs) * dayMs;
  const since = new Date(today - (request.days - 1) * dayMs);
  const form = request.form === undefined ? null : await findFormId(scope, request.form);
  const [counts, times] = [await countByDay(scope, since, form), await timeByDay(scope, since, form)];
  const days = Array.from({ length: request.days }, (_, index) => {
    const day = new Date(today - index * dayMs).toISOString().slice(0, 10);
    const { messages = 0, held = 0 } = counts.get(day) ?? {};
    return { day, messages, held, delivery: times.get(day) ?? nothing };
  });
  const messages = days.reduce((sum, it) => sum + it.messages, 0);
  const held = days.reduce((sum, it) => sum + it.held, 0);
  return {
    since: since.toISOString(),
    form: request.form ?? null,
    messages,
    held,
    heldShare: messages === 0 ? null : held / messages,
    delivery: times.get(null) ?? nothing,
    days,
  };
}

const nothing: DeliveryTimes = { emails: 0, p50Ms: null, p95Ms: null, p99Ms: null };

async function countByDay(scope: Scope, since: Date, form: string | null): Promise<Map<string, Counts>> {
  const rows = await scope.em.execute<(Counts & { day: string })[]>(
    `select to_char(received_at at time zone 'UTC', 'YYYY-MM-DD') as day, count(*)::int as messages,
       (count(*) filter (where status = 'held'))::int as held
     from messages
     where id >= ?::uuid and received_at >= ?::timestamptz and (?::uuid is null or form_id = ?::uuid)
     group by 1`,
    [lowestId(since), since.toISOString(), form, form],
  );
  return new Map(rows.map(({ day, messages, held }) => [day, { messages, held }]));
}

/** By the day on which the email was created; the key null has the total. */
async function timeByDay(scope: Scope, since: Date, form: string | null): Promise<Map<string | null, DeliveryTimes>> {
  const rows = await scope.em.execute<(DeliveryTimes & { day: string | null })[]>(
    `select to_char(emails.created_at at time zone 'UTC', 'YYYY-MM-DD') as day, count(*)::int as emails,
       ${[50, 95, 99].map((rank) => `round(percentile_disc(${rank / 100}) within group (order by took)) as "p${rank}Ms"`).join(', ')}
     from (
       select emails.*, ${msSql('sent_at - created_at')} as took from emails
       where state = 'sent' and digest_id is null and id >= ?::uuid and created_at >= ?::timestamptz
     ) as emails left join messages on messages.id = emails.message_id
     where ?::uuid is null or messages.form_id = ?::uuid
     group by grouping sets ((to_char(emails.created_at at time zone 'UTC', 'YYYY-MM-DD')), ())`,
    [lowestId(since), since.toISOString(), form, form],
  );
  return new Map(rows.map(({ day, ...times }) => [day, times]));
}

function lowestId(since: Date): string {
  // With `since` there is always a lower bound.
  return idsOf({ since })?.$gte as string;
}
