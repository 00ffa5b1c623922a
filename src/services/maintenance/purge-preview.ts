import { msSql } from '../../database/statement.ts';
import { Form } from '../../entities/index.ts';
import { databaseNow } from '../clock.ts';
import { heldSince } from '../delivery/held-summary.ts';
import { retentionOf } from '../forms/effective-settings.ts';
import type { Scope } from '../scope.ts';
import { clientAddressDays, expiryRules, heldDays, waitsForMail } from './retention-rules.ts';

export type PurgeRule = 'messages' | 'held' | 'client-addresses' | 'senders';

/** What one rule would remove. Rules about messages have a row per form. Times are ISO 8601 in UTC. */
export interface RuleView {
  rule: PurgeRule;
  /** Slug; null if the rule covers all forms. */
  form: string | null;
  /** Retention in days; 0 for ever, null for senders, who stay as long as they have a message. */
  days: number | null;
  /** Expired rows that the next purge removes. */
  due: number;
  /** Expired rows that are kept because mail about them still has to be sent. */
  waiting: number;
  /** When the next row expires; null if none does. */
  nextAt: string | null;
}

/** What a purge would remove now, by rule and form, and when the next row expires. */
export async function previewPurge(scope: Scope): Promise<RuleView[]> {
  const em = scope.em.fork();
  const forms = await em.findAll(Form, { orderBy: { slug: 'asc' } });
  const daysOf = (form: Form) => retentionOf(scope.config, form);
  const kept = keptSql(forms.map((form) => `('${form.id}'::uuid, ${daysOf(form)})`));
  const rows = await em.execute<CountRow[]>(
    `${kept} select form_id, status,
       count(*) filter (where is_due and not is_waiting)::int as due,
       count(*) filter (where is_due and is_waiting)::int as waiting,
       ${msSql('min(ends_at) filter (where not is_due)')} as next_ms
     from kept group by form_id, status`,
  );
  const rowOf = (form: Form, status: string) => rows.find((it) => it.form_id === form.id && it.status === status);
  const view = (rule: PurgeRule, form: Form, days: number): RuleView => {
    const row = rowOf(form, rule === 'held' ? 'held' : 'accepted');
    const counts = { due: row?.due ?? 0, waiting: row?.waiting ?? 0, nextAt: isoOf(row?.next_ms) };
    return { rule, form: form.slug, days, ...counts };
  };
  return [
    ...forms.map((form) => view('messages', form, daysOf(form))),
    ...forms
      .filter((form) => rowOf(form, 'held') !== undefined)
      .map((form) => view('held', form, Math.min(daysOf(form) || heldDays, heldDays))),
    await previewClientAddresses(em),
    await previewSenders(em, kept),
  ];
}

/** How many messages of a form the next purge removes if the form keeps them so many days. */
export async function countExpiring(scope: Scope, formId: string, days: number): Promise<number> {
  const [row] = await scope.em.execute<{ due: number }[]>(
    `${keptSql(['(?::uuid, ?::int)'])} select count(*) filter (where is_due and not is_waiting)::int as due from kept`,
    [formId, days],
  );
  return row?.due ?? 0;
}

interface CountRow {
  form_id: string;
  status: string;
  due: number;
  waiting: number;
  next_ms: number | null;
}

/**
 * SQL: every message with the time at which it expires; null if it is kept for ever.
 *
 * @param retentions SQL rows of a form's id and its retention in days.
 */
function keptSql(retentions: readonly string[]): string {
  return `
with aged as (
  select messages.id, messages.form_id, sender_id, status, received_at, held_at, told_at, case status
    when 'held' then least(
      received_at + nullif(days, 0) * interval '1 day',
      ${heldSince} + interval '${heldDays} days')
    else received_at + nullif(days, 0) * interval '1 day' end as ends_at
  from messages join (values ${retentions.join(', ')}) as retention (form_id, days) using (form_id)
),
kept as (
  select messages.*, coalesce(ends_at < now(), false) as is_due,
    case when ends_at < now() then ${waitsForMail} else false end as is_waiting
  from aged as messages
)`;
}

async function previewClientAddresses(em: Scope['em']): Promise<RuleView> {
  const [row] = await em.execute<{ due: number; next_ms: number | null }[]>(
    `select count(*) filter (where ends_at < now())::int as due,
       ${msSql('min(ends_at) filter (where ends_at >= now())')} as next_ms
     from (
       select received_at + interval '${clientAddressDays} days' as ends_at from messages where client_address is not null
     ) as addresses`,
  );
  const counts = { due: row?.due ?? 0, waiting: 0, nextAt: isoOf(row?.next_ms) };
  return { rule: 'client-addresses', form: null, days: clientAddressDays, ...counts };
}

/** Senders whose last message expires, and senders whose messages were deleted by hand. */
async function previewSenders(em: Scope['em'], kept: string): Promise<RuleView> {
  const [row] = await em.execute<{ due: number }[]>(
    `${kept} select count(*)::int as due from senders
     where blocked_at is null
       and not exists (select from kept where sender_id = senders.id and (is_waiting or not is_due))`,
  );
  return { rule: 'senders', form: null, days: null, due: row?.due ?? 0, waiting: 0, nextAt: null };
}

function isoOf(ms: number | null | undefined): string | null {
  return ms == null ? null : new Date(ms).toISOString();
}

/** How many expired messages are kept because of their mail. Starts from unsent mail: very many messages may have expired. */
export async function countWaiting(scope: Pick<Scope, 'em' | 'config'>): Promise<number> {
  const em = scope.em.fork();
  const rules = expiryRules(scope.config, await em.findAll(Form), await databaseNow(em));
  const [row] = await em.execute<{ count: number }[]>(
    `select count(*)::int as count from messages
     where id in (select message_id from emails where state < 'sent' or state > 'sent')
       and (${rules.map((it) => `(${it})`).join(' or ')}) and ${waitsForMail}`,
  );
  return row?.count ?? 0;
}
