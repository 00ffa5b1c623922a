import type { FilterQuery } from '@mikro-orm/core';
import type { Config } from '../config.ts';
import type { Composer } from '../context.ts';
import { Email, Form, Message } from '../entities/index.ts';
import type { ClaimedEmail } from './claim-due.ts';
import { newEmailIdentity } from './email-identity.ts';
import { heldSince } from './held-since.ts';
import type { Scope } from './scope.ts';

/** As many as a person looks through in a mail. */
const mostShown = 50;

/**
 * A message is dated by the beginning of the statement that stores it, and there to be seen at its commit, which may have
 * had to wait for a lock. Of the seconds before a summary one may therefore be told of twice, and none is missed.
 */
export const lateMs = 10_000;

/** Who is told of the messages of a form. */
export function ownersOf(config: Config, form: Pick<Form, 'recipients'>): readonly string[] {
  return form.recipients?.length ? form.recipients : config.notifyTo;
}

/**
 * Queues one summary for each owner of a form that held something since the last time.
 *
 * @param scope inside a transaction of the caller's, who sees to it that this happens once a day.
 * @param since when summaries were last queued; `now` is the database's time.
 */
export async function queueHeldSummaries(scope: Scope, since: Date, now: Date): Promise<number> {
  const forms = await scope.em.find(Form, { id: { $in: await formsThatHeld(scope, someBefore(since), now) } });
  const owners = new Set(forms.flatMap((form) => ownersOf(scope.config, form)));
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
  const { before, where } = await told(scope, email);
  const [messages, count] = await scope.em.findAndCount(Message, where, {
    populate: ['form'],
    orderBy: { id: 'desc' },
    limit: mostShown,
  });
  return {
    count,
    since: before?.createdAt ?? messages.at(-1)?.receivedAt ?? email.createdAt,
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
  const before = await scope.em.findOne(
    Email,
    { kind: 'held-summary', recipient, createdAt: { $lt: email.createdAt }, resendOf: null },
    { orderBy: { createdAt: 'desc' } },
  );
  const forms = (await scope.em.findAll(Form)).filter((form) => ownersOf(scope.config, form).includes(recipient));
  const then = { $gt: someBefore(before?.createdAt ?? new Date(0)), $lte: email.createdAt };
  const where: FilterQuery<Message> = {
    status: 'held',
    // What was held by hand, whenever it came, is held since then.
    $or: [{ heldAt: then }, { heldAt: null, receivedAt: then }],
    form: { $in: forms.map((form) => form.id) },
  };
  return { before, where };
}

function someBefore(moment: Date): Date {
  return new Date(moment.getTime() - lateMs);
}

async function formsThatHeld(scope: Scope, since: Date, now: Date): Promise<string[]> {
  const rows = await scope.em.execute<{ id: string }[]>(
    `select distinct form_id as id from messages where status = 'held' and ${heldSince} > ? and ${heldSince} <= ?`,
    [since.toISOString(), now.toISOString()],
  );
  return rows.map((row) => row.id);
}
