import { msSql } from '../../database/statement.ts';
import { HookDelivery } from '../../entities/index.ts';
import type { Day } from '../clock.ts';
import { findFormId } from '../forms/forms.ts';
import { idsOf } from '../paging.ts';
import type { Scope } from '../scope.ts';

/**
 * Percentiles (nearest rank) of the time from when an email was first due until a mail server accepted it, also while it
 * had failed before a resend, but not while its message was held.
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

/** Messages and delivery times by day, newest first. Nothing in it is about a person. */
export interface Stats extends Counts {
  since: string;
  form: string | null;
  /** From 0 to 1; null without messages. */
  heldShare: number | null;
  delivery: DeliveryTimes;
  /** How many deliveries of these days hooks accepted. */
  hookDeliveries: number;
  days: (Counts & { day: string; delivery: DeliveryTimes })[];
}

/**
 * @param request `days`: the newest first, each until the next one starts.
 * @throws {Problem} form-unknown
 */
export async function readStats(scope: Scope, request: { days: readonly Day[]; form?: string }): Promise<Stats> {
  const starts = request.days.map((it) => it.start).reverse();
  const form = request.form === undefined ? null : await findFormId(scope, request.form);
  const [counts, times] = [await countByDay(scope, starts, form), await timeByDay(scope, starts, form)];
  const days = request.days.map(({ day }, index) => {
    const nth = request.days.length - index;
    const { messages = 0, held = 0 } = counts.get(nth) ?? {};
    return { day, messages, held, delivery: times.get(nth) ?? nothing };
  });
  const messages = days.reduce((sum, it) => sum + it.messages, 0);
  const held = days.reduce((sum, it) => sum + it.held, 0);
  return {
    since: firstOf(starts),
    form: request.form ?? null,
    messages,
    held,
    heldShare: messages === 0 ? null : held / messages,
    delivery: times.get(null) ?? nothing,
    hookDeliveries: await scope.em.count(HookDelivery, {
      state: 'sent',
      ...(form !== null && { message: { form } }),
      id: { $gte: lowestId(starts) },
      createdAt: { $gte: new Date(firstOf(starts)) },
    }),
    days,
  };
}

const nothing: DeliveryTimes = { emails: 0, p50Ms: null, p95Ms: null, p99Ms: null };

/** @returns counts by the number of the day, from 1. */
async function countByDay(scope: Scope, starts: readonly Date[], form: string | null): Promise<Map<number, Counts>> {
  const rows = await scope.em.execute<(Counts & { day: number })[]>(
    `select ${dayOf('received_at')} as day, count(*)::int as messages,
       (count(*) filter (where status = 'held'))::int as held
     from messages
     where id >= ?::uuid and received_at >= ?::timestamptz and (?::uuid is null or form_id = ?::uuid)
     group by 1`,
    [arrayOf(starts), lowestId(starts), firstOf(starts), form, form],
  );
  return new Map(rows.map(({ day, messages, held }) => [day, { messages, held }]));
}

/** By the day on which the email was created; the key null has the total. */
async function timeByDay(
  scope: Scope,
  starts: readonly Date[],
  form: string | null,
): Promise<Map<number | null, DeliveryTimes>> {
  const rows = await scope.em.execute<(DeliveryTimes & { day: number | null })[]>(
    `select day, count(*)::int as emails,
       ${[50, 95, 99].map((rank) => `round(percentile_disc(${rank / 100}) within group (order by took)) as "p${rank}Ms"`).join(', ')}
     from (
       select message_id, ${dayOf('created_at')} as day, ${msSql(`sent_at - ${firstDueAt}`)} as took from emails
       where state = 'sent' and digest_id is null and id >= ?::uuid and created_at >= ?::timestamptz
     ) as emails left join messages on messages.id = emails.message_id
     where ?::uuid is null or messages.form_id = ?::uuid
     group by grouping sets ((day), ())`,
    [arrayOf(starts), lowestId(starts), firstOf(starts), form, form],
  );
  return new Map(rows.map(({ day, ...times }) => [day, times]));
}

/** An email that was queued again without any attempt before was held with its message until then. */
const firstDueAt = `case when requeued_at is null
  or exists (select from attempts where email_id = emails.id and finished_at <= requeued_at)
  then created_at else requeued_at end`;

/** The number of the day, from 1. Days are not always 24 hours long. */
function dayOf(column: string): string {
  return `width_bucket(${column}, ?::timestamptz[])`;
}

function arrayOf(starts: readonly Date[]): string {
  return `{${starts.map((it) => it.toISOString()).join(',')}}`;
}

function firstOf(starts: readonly Date[]): string {
  return (starts[0] ?? new Date(0)).toISOString();
}

function lowestId(starts: readonly Date[]): string {
  // With `since` there is always a lower bound.
  return idsOf({ since: new Date(firstOf(starts)) })?.$gte as string;
}
