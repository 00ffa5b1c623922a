import { validate as isUuid } from 'uuid';
import { Attempt, Email } from '../../entities/index.ts';
import { databaseNow } from '../clock.ts';
import { listOf } from '../ids.ts';
import type { Scope } from '../scope.ts';
import { type EmailView, viewAttempt, viewEmail } from '../views.ts';

/** An email, and how its last attempt ended. */
export interface DescribedEmail extends EmailView {
  /** Null if there was no attempt, or it was accepted. */
  lastError: string | null;
  /** The mail server's code, if it refused the email for good. */
  refusedWith: number | null;
}

/** @returns the emails that exist, by id. */
export async function describeEmails(scope: Scope, ids: readonly string[]): Promise<Map<string, DescribedEmail>> {
  const em = scope.em.fork();
  const [described, now] = [new Map<string, DescribedEmail>(), await databaseNow(em)];
  const known = ids.filter((id) => isUuid(id));
  // PostgreSQL takes at most 65,535 parameters.
  for (let start = 0; start < known.length; start += 1000) {
    const id = { $in: known.slice(start, start + 1000) };
    const exclude = ['message.content', 'message.clientAddress'] as const;
    const emails = await em.find(Email, { id }, { populate: ['message.form', 'sender'], exclude });
    const attempts = await em.find(Attempt, { email: id }, { orderBy: { finishedAt: 'asc' } });
    const lastOf = new Map(attempts.map((it) => [it.email.id, viewAttempt(scope.keyring, it)]));
    for (const email of emails) {
      const { outcome = 'accepted', code = null, reply = null } = lastOf.get(email.id) ?? {};
      described.set(email.id, {
        ...viewEmail(scope.keyring, email, now),
        lastError: outcome === 'accepted' ? null : (reply ?? outcome),
        refusedWith: outcome === 'refused' ? code : null,
      });
    }
  }
  return described;
}

/** How many of these emails were sent, and how many still wait. */
export async function readProgress({ em }: Scope, ids: readonly string[]): Promise<{ sent: number; queued: number }> {
  const rows = await em.execute<{ state: string; count: number }[]>(
    'select state, count(*)::int as count from emails where id = any(?::uuid[]) group by state',
    [listOf(ids)],
  );
  const of = (state: string) => rows.find((it) => it.state === state)?.count ?? 0;
  return { sent: of('sent'), queued: of('queued') };
}
