import type { FilterQuery } from '@mikro-orm/core';
import { Email, Form, Message } from '../../entities/index.ts';
import type { Composer } from '../../mailing-context.ts';
import { ownersOf } from '../forms/effective-settings.ts';
import { newEmailIdentity } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import type { ClaimedEmail } from './claim-due.ts';

/** As many as a person looks through in a mail. */
const mostShown = 50;

/**
 * A message is dated by the beginning of the statement that stores it, and there to be seen at its commit, which may have
 * had to wait for a lock. Of the seconds before a summary one may therefore be told of twice, and none is missed.
 */
export const lateMs = 10_000;

/**
 * Queues one summary for each owner of a form that held something since the last time; and for one who never had any, of
 * a form that holds something: it was told to nobody, or to somebody who is no owner any more.
 *
 * @param scope inside a transaction of the caller's, who sees to it that this happens once a day.
 * @param since when summaries were last queued; `now` is the database's time.
 */
export async function queueHeldSummaries(scope: Scope, since: Date, now: Date): Promise<number> {
  const holding = await formsThatHold(scope, someBefore(since), now);
  const told = await recipientsOfSummaries(scope);
  const forms = await scope.em.find(Form, { id: { $in: [...holding.keys()] } });
  const owners = new Set(
    forms.flatMap((form) => ownersOf(scope.config, form).filter((it) => holding.get(form.id) || !told.has(it))),
  );
  for (const recipient of owners) {
    scope.em.create(Email, {
      ...newEmailIdentity(scope.config),
      kind: 'held-summary',
      state: 'queued',
      recipient,
      dueAt: now,
      createdAt: now,
      tries: 0,
    });
  }
  await scope.em.flush();
  return owners.size;
}

/**
 * What was held since the summary before this one, of the forms of its recipient: however much later than a day it
 * comes, no held message falls between two summaries. At every try the same, but for what was released or deleted.
 */
export async function summariseHeld(
  scope: Scope,
  email: ClaimedEmail,
): Promise<Parameters<Composer['heldSummary']>[1]> {
  const { before, until, where } = await told(scope, email);
  const [messages, count] = await scope.em.findAndCount(Message, where, {
    populate: ['form'],
    orderBy: { id: 'desc' },
    limit: mostShown,
  });
  return {
    count,
    since: before?.createdAt ?? messages.at(-1)?.receivedAt ?? until,
    messages: messages.map((it) => ({
      receipt: it.receipt,
      formSlug: it.form.slug,
      receivedAt: it.receivedAt,
      reasons: it.reasons,
    })),
    publicUrl: scope.config.publicUrl,
  };
}

/** Whether a summary still has anything to tell of. */
export async function isAnyHeld(scope: Scope, email: ClaimedEmail): Promise<boolean> {
  return (await scope.em.count(Message, (await told(scope, email)).where)) > 0;
}

/** Which messages a summary tells of, and the summary before it. */
async function told(scope: Scope, email: ClaimedEmail) {
  const recipient = email.recipient ?? '';
  const until = await firstMadeAt(scope, email);
  const before = await scope.em.findOne(
    Email,
    { kind: 'held-summary', recipient, createdAt: { $lt: until }, resendOf: null },
    { orderBy: { createdAt: 'desc' } },
  );
  const forms = (await scope.em.findAll(Form)).filter((form) => ownersOf(scope.config, form).includes(recipient));
  const then = { $gt: someBefore(before?.createdAt ?? new Date(0)), $lte: until };
  const where: FilterQuery<Message> = {
    status: 'held',
    // What was held by hand, whenever it came, is held since then.
    $or: [{ heldAt: then }, { heldAt: null, receivedAt: then }],
    form: { $in: forms.map((form) => form.id) },
  };
  return { before, until, where };
}

/** A copy that an operator asked for tells of the same as the summary that it repeats. */
async function firstMadeAt(scope: Scope, email: ClaimedEmail): Promise<Date> {
  const [first] = await scope.em.execute<{ ms: number }[]>(
    `with recursive copies as (
       select resend_of_id, created_at from emails where id = ?
       union all
       select emails.resend_of_id, emails.created_at from copies join emails on emails.id = copies.resend_of_id
     )
     select (extract(epoch from created_at) * 1000)::float8 as ms from copies where resend_of_id is null`,
    [email.id],
  );
  return first === undefined ? email.createdAt : new Date(first.ms);
}

function someBefore(moment: Date): Date {
  return new Date(moment.getTime() - lateMs);
}

/** By the id of each form that holds something, whether any of it has been held since then. */
async function formsThatHold(scope: Scope, since: Date, now: Date): Promise<Map<string, boolean>> {
  const rows = await scope.em.execute<{ id: string; is_new: boolean }[]>(
    `select form_id as id, bool_or(${heldSince} > ?) as is_new
     from messages where status = 'held' and ${heldSince} <= ? group by form_id`,
    [since.toISOString(), now.toISOString()],
  );
  return new Map(rows.map((row) => [row.id, row.is_new]));
}

async function recipientsOfSummaries(scope: Scope): Promise<Set<string>> {
  const rows = await scope.em.execute<{ recipient: string }[]>(
    `select distinct recipient from emails where kind = 'held-summary'`,
  );
  return new Set(rows.map((row) => row.recipient));
}
/** The SQL of when a held message began to be held. */
export const heldSince = 'coalesce(messages.held_at, messages.received_at)';
