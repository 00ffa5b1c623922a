import type { EntityManager } from '@mikro-orm/postgresql';
import type { Config } from '../../config/config.ts';
import { msSql } from '../../database/statement.ts';
import { Email, Form } from '../../entities/index.ts';
import { ownersOf, ownersSql } from '../forms/effective-settings.ts';
import { listOf } from '../ids.ts';
import { newEmailIdentity } from '../outbox.ts';
import type { Scope } from '../scope.ts';

/**
 * A message has the time when its statement began, but is visible only after the commit, which may wait for a lock. So each
 * summary begins this much before the end of the last one: a message may be listed twice, but is never missed.
 */
export const overlapMs = 10_000;

/** SQL: when a held message began to be held. */
export const heldSince = 'coalesce(messages.held_at, messages.received_at)';

/** SQL condition: the recipient of a summary is an owner of the form. @param notifyTo SQL of `NOTIFY_TO`. */
export function isOwner(notifyTo: string): string {
  return `emails.recipient = any(${ownersSql(notifyTo)})`;
}

/** SQL: joins summaries, as rows of `emails`, to the held messages they cover. @param which SQL condition on `forms`. */
export function joinCovered(which: string): string {
  return `
  join messages on messages.status = 'held'
    and ${heldSince} > coalesce(emails.covers_after, '-infinity') and ${heldSince} <= emails.covers_until
  join forms on forms.id = messages.form_id and ${which}`;
}

/**
 * SQL: sets `told_at` for every held message that the summaries cover, also beyond the 50 that a mail lists.
 *
 * @param summaries SQL condition on `emails`. @param which as for `joinCovered`.
 */
export function tellSql(summaries: string, which: string): string {
  // Locked in id order, so that two summaries about the same messages do not deadlock.
  return `
  update messages set told_at = greatest(now(), ${heldSince})
  where id in (
    select messages.id from emails ${joinCovered(which)}
    where emails.kind = 'held-summary' and ${summaries} and messages.told_at is null
    order by messages.id for update of messages
  )`;
}

/** `NOTIFY_TO` as a parameter of `em.execute`: with `notifyToOf`. */
export const notifyToSql = 'array(select jsonb_array_elements_text(?::jsonb))';

export function notifyToOf(config: Pick<Config, 'notifyTo'>): string {
  return JSON.stringify(config.notifyTo);
}

/**
 * Records cancelled summaries as read, because the operator who cancelled them has seen them. That includes summaries for
 * former owners to whom the form's notifications are addressed.
 *
 * @param em in the transaction that cancels.
 */
export async function tellCancelled(em: EntityManager, config: Config, ids: readonly string[]): Promise<void> {
  const wasOwner = `exists (
      select from emails as notification where notification.message_id = messages.id
        and notification.kind = 'notification' and notification.recipient = emails.recipient)`;
  await em.execute(tellSql('emails.id = any(?::uuid[])', `(${isOwner(notifyToSql)} or ${wasOwner})`), [
    notifyToOf(config),
    listOf(ids),
  ]);
}

/**
 * Queues one summary for each owner of a form with newly held messages, and for each owner of a form with held messages
 * who never had a summary.
 *
 * @param scope inside the caller's transaction, which makes sure that this happens once a day.
 * @param since when summaries were last queued. @param now the database's time.
 */
export async function queueHeldSummaries(scope: Scope, since: Date, now: Date): Promise<number> {
  const holding = await formsThatHold(scope, beforeOverlap(since), now);
  const last = await lastSummaries(scope, now);
  const forms = await scope.em.find(Form, { id: { $in: [...holding.keys()] } });
  const owners = new Set(
    forms.flatMap((form) => ownersOf(scope.config, form).filter((it) => holding.get(form.id) || !last.has(it))),
  );
  for (const recipient of owners) {
    const lastAt = last.get(recipient);
    scope.em.create(Email, {
      ...newEmailIdentity(scope.config),
      kind: 'held-summary',
      state: 'queued',
      recipient,
      dueAt: now,
      createdAt: now,
      tries: 0,
      coversAfter: lastAt ? beforeOverlap(lastAt) : null,
      coversUntil: now,
    });
  }
  await scope.em.flush();
  return owners.size;
}

function beforeOverlap(moment: Date): Date {
  return new Date(moment.getTime() - overlapMs);
}

/** For each form with held messages: whether any of them has been held since then. */
async function formsThatHold(scope: Scope, since: Date, now: Date): Promise<Map<string, boolean>> {
  const rows = await scope.em.execute<{ id: string; is_new: boolean }[]>(
    `select form_id as id, bool_or(${heldSince} > ?) as is_new
     from messages where status = 'held' and ${heldSince} <= ? group by form_id`,
    [since.toISOString(), now.toISOString()],
  );
  return new Map(rows.map((row) => [row.id, row.is_new]));
}

/** For each recipient of a summary: when the last one before `now` was queued. Undefined after the clock was set back. */
async function lastSummaries(scope: Scope, now: Date): Promise<Map<string, Date | undefined>> {
  const rows = await scope.em.execute<{ recipient: string; ms: number | null }[]>(
    `select recipient, ${msSql('max(created_at) filter (where created_at < ?)')} as ms
     from emails where kind = 'held-summary' and resend_of_id is null group by recipient`,
    [now.toISOString()],
  );
  return new Map(rows.map((row) => [row.recipient, row.ms === null ? undefined : new Date(row.ms)]));
}
