import type { Config } from '../config.ts';
import type { Composer } from '../context.ts';
import { Email, Form, Message } from '../entities/index.ts';
import type { ClaimedEmail } from './claim-due.ts';
import { newEmailIdentity } from './email-identity.ts';
import type { Scope } from './scope.ts';

const dayMs = 24 * 60 * 60_000;

/** As many as a person looks through in a mail. */
const mostShown = 50;

/** Who is told of the messages of a form. */
export function ownersOf(config: Config, form: Pick<Form, 'recipients'>): readonly string[] {
  return form.recipients?.length ? form.recipients : config.notifyTo;
}

/**
 * Queues one summary for each owner of a form that held something in the day before `now`.
 *
 * @param scope inside a transaction of the caller's, who sees to it that this happens once a day.
 * @param now the database's time.
 */
export async function queueHeldSummaries(scope: Scope, now: Date): Promise<number> {
  const forms = await scope.em.find(Form, { id: { $in: await formsThatHeld(scope, now) } });
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

/** What was held in the day before a summary was queued, of the forms of its recipient. */
export async function summariseHeld(
  scope: Scope,
  email: ClaimedEmail,
): Promise<Parameters<Composer['heldSummary']>[1]> {
  const since = new Date(email.createdAt.getTime() - dayMs);
  const forms = (await scope.em.findAll(Form)).filter((form) =>
    ownersOf(scope.config, form).includes(email.recipient ?? ''),
  );
  const where = {
    status: 'held',
    receivedAt: { $gt: since, $lte: email.createdAt },
    form: { $in: forms.map((form) => form.id) },
  } as const;
  const [messages, count] = await scope.em.findAndCount(Message, where, {
    populate: ['form'],
    orderBy: { id: 'desc' },
    limit: mostShown,
  });
  return {
    count,
    since,
    messages: messages.map((it) => ({
      receipt: it.receipt,
      formSlug: it.form.slug,
      receivedAt: it.receivedAt,
      reasons: it.reasons,
    })),
    publicUrl: scope.config.publicUrl,
  };
}

async function formsThatHeld(scope: Scope, now: Date): Promise<string[]> {
  const rows = await scope.em.find(
    Message,
    { status: 'held', receivedAt: { $gt: new Date(now.getTime() - dayMs), $lte: now } },
    { fields: ['form'] },
  );
  return [...new Set(rows.map((row) => row.form.id))];
}
