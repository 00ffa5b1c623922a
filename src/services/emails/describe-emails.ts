import { validate as isUuid } from 'uuid';
import { Email } from '../../entities/index.ts';
import type { AttemptOutcome } from '../../words.ts';
import { databaseNow } from '../clock.ts';
import { listOf } from '../ids.ts';
import type { Scope } from '../scope.ts';
import { openOrNull, replyPlace } from '../sealed-values.ts';
import { type EmailView, viewEmail } from '../views.ts';

/** An email, and how its last attempt ended. */
export interface DescribedEmail extends EmailView {
  /** Null if there was no attempt, or it was accepted. */
  lastError: string | null;
  /** The mail server's code, if it refused the email for good. */
  refusedWith: number | null;
}

interface LastAttempt {
  id: string;
  email_id: string;
  outcome: AttemptOutcome;
  code: number | null;
  reply: Buffer | null;
}

/** @returns those that exist, by id. */
export async function describeEmails(scope: Scope, ids: readonly string[]): Promise<Map<string, DescribedEmail>> {
  const described = new Map<string, DescribedEmail>();
  // PostgreSQL takes at most 65,535 parameters.
  for (let start = 0; start < ids.length; start += 1000) {
    for (const it of await describeSome(scope, ids.slice(start, start + 1000))) described.set(it.id, it);
  }
  return described;
}

async function describeSome(scope: Scope, given: readonly string[]): Promise<DescribedEmail[]> {
  const ids = given.filter((id) => isUuid(id));
  const em = scope.em.fork();
  const emails = await em.find(
    Email,
    { id: { $in: ids } },
    { populate: ['message.form', 'sender'], exclude: ['message.content', 'message.clientAddress'] },
  );
  const attempts = await em.execute<LastAttempt[]>(
    `select distinct on (email_id) id, email_id, outcome, code, reply from attempts
     where email_id = any(?::uuid[]) order by email_id, finished_at desc`,
    [listOf(ids)],
  );
  const lastOf = new Map(attempts.map((it) => [it.email_id, it]));
  const now = await databaseNow(em);
  return emails.map((email) => {
    const { id = '', outcome, code = null, reply = null } = lastOf.get(email.id) ?? {};
    const said = reply && openOrNull(() => scope.keyring.open(reply, replyPlace(id)));
    const lastError = outcome === undefined || outcome === 'accepted' ? null : (said ?? outcome);
    return { ...viewEmail(scope.keyring, email, now), lastError, refusedWith: outcome === 'refused' ? code : null };
  });
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
