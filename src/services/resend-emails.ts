import type { EntityManager } from '@mikro-orm/postgresql';
import { LockMode } from '@mikro-orm/postgresql';
import { validate as isUuid } from 'uuid';
import { inTransaction } from '../database/transaction.ts';
import { Email } from '../entities/index.ts';
import type { ProblemCode } from '../problems.ts';
import { replyLastsHours } from './cancel-unwanted.ts';
import { copyEmail } from './copy-email.ts';
import { databaseNow } from './database-now.ts';
import { emailChannel } from './email-channel.ts';
import { type EmailFilter, emailsWhere } from './emails.ts';
import { readRecipient } from './recipient.ts';
import type { Scope } from './scope.ts';
import { sendElsewhere, takeTurn } from './send-elsewhere.ts';

/** Emails of a query: failed ones, or queued ones that wait for a later time. */
export type ResendQuery = EmailFilter & { state: 'failed' | 'queued' };

/** Which emails to send once more: these, or those of a query. */
export type ResendRequest = ({ ids: readonly string[] } | { query: ResendQuery }) & {
  /** Also what was sent already or cancelled, or may have been sent. */
  again?: boolean;
  /** The owner's address that notifications go to instead of theirs. */
  to?: string;
  /** Only say what would happen. */
  dryRun?: boolean;
  /** Ends between two batches; what was done until then is reported. */
  stop?: AbortSignal;
  onProgress?: (done: number) => void;
};

export interface Resent {
  id: string;
  /**
   * `queued`: it will be sent now (with `dryRun`: would be). `already-queued`: so it would have been anyway.
   * `skipped`: left out of a query, for a reason that asks for a person's decision.
   */
  result: 'queued' | 'already-queued' | 'skipped' | 'refused' | 'not-found';
  /** The new email that is sent in the place of one that was sent already, or cancelled. */
  newId: string | null;
  code: Extract<ProblemCode, 'email-unknown' | 'email-leased' | 'email-not-resendable'> | null;
  /** Why not, or why again, or what changed. */
  reason: string | null;
}

const tooLate = 'an auto-reply of more than a day ago';

/** Few enough that the rows are locked for a moment only. */
const batchSize = 100;

/**
 * Queues emails once more. A failed one goes back into the queue with a new schedule, and so does a queued one that
 * waits for a later time, which is due now; for a sent one, and for a notification that was cancelled, a new row is
 * written that links to it. Each batch of rows is locked while it is decided upon, so that of two operators (or two
 * programs) asking at once the second finds a failed email queued. A copy that has left is no reason against another
 * one: that is what `again` asks for.
 *
 * An auto-reply whose outcome is unknown may have arrived: a query leaves it out, and by its id it needs `again`. One
 * that has waited for more than a day (`cancel-unwanted.ts`) is left out by a query as well, since days of them would
 * leave at once; by its id it is sent.
 *
 * With `to`, a notification that was not sent is cancelled, and a new row that links to it goes to the other address.
 *
 * @returns what became of each, in the order of the ids; those of a query the oldest first.
 * @throws {Problem} form-unknown, argument-invalid
 */
export async function resendEmails(scope: Scope, given: ResendRequest): Promise<Resent[]> {
  const request = given.to === undefined ? given : { ...given, to: readRecipient(given.to) };
  const results: Resent[] = [];
  const planned = request.dryRun ? new Set<string>() : undefined;
  const batches =
    'ids' in request ? inBatches([...new Set(request.ids)]) : idsOfQuery(scope, request.query, request.to);
  for await (const ids of batches) {
    if (request.stop?.aborted) break;
    results.push(...(await resendBatch(scope, ids, request, planned)));
    request.onProgress?.(results.length);
  }
  return results;
}

/** How many emails a query is about; `to` as in a request. @throws {Problem} form-unknown, argument-invalid */
export async function countResendable(scope: Scope, query: ResendQuery, to?: string): Promise<number> {
  return await scope.em.count(Email, await resendable(scope, query, to && readRecipient(to)));
}

/** What is due already needs no resend, but where the queue is paused it, too, may have to go to another address. */
async function resendable(scope: Scope, query: ResendQuery, to: string | undefined) {
  const waits = {
    leaseToken: null,
    ...(to === undefined ? { dueAt: { $gt: await databaseNow(scope.em) } } : { recipient: { $ne: to } }),
  };
  return { ...(await emailsWhere(scope, query)), ...(query.state === 'queued' && waits) };
}

async function* idsOfQuery(scope: Scope, query: ResendQuery, to: string | undefined): AsyncGenerator<string[]> {
  const where = await resendable(scope, query, to);
  for (let after: string | undefined; ; ) {
    const rows = await scope.em
      .fork()
      .find(
        Email,
        { $and: [where, ...(after === undefined ? [] : [{ id: { $gt: after } }])] },
        { fields: ['id'], orderBy: { id: 'asc' }, limit: batchSize },
      );
    after = rows.at(-1)?.id;
    if (after === undefined) return;
    yield rows.map((row) => row.id);
  }
}

async function* inBatches(ids: readonly string[]): AsyncGenerator<string[]> {
  for (let start = 0; start < ids.length; start += batchSize) yield ids.slice(start, start + batchSize);
}

async function resendBatch(
  scope: Scope,
  ids: readonly string[],
  request: ResendRequest,
  planned: Set<string> | undefined,
): Promise<Resent[]> {
  // An error inside goes through: one that was caught here would leave a transaction that PostgreSQL has given up.
  return await inTransaction(scope.em, async (em) => {
    if (request.to !== undefined && !request.dryRun) await takeTurn(em);
    const emails = await em.find(
      Email,
      { id: { $in: ids.filter((id) => isUuid(id)) } },
      // In one order for everybody, so that two who lock the same emails wait for each other and never in a circle.
      { orderBy: { id: 'asc' }, refresh: true, ...(!request.dryRun && { lockMode: LockMode.PESSIMISTIC_WRITE }) },
    );
    await em.populate(emails, ['message'], { fields: ['message.status'], refresh: true });
    const now = await databaseNow(em);
    const byId = new Map(emails.map((email) => [email.id, email]));
    const results: Resent[] = [];
    for (const id of ids) {
      const email = byId.get(id.toLowerCase());
      results.push(email === undefined ? notFound(id) : await resendOne(em, scope, email, now, request, planned));
    }
    if (!request.dryRun && results.some((it) => it.result === 'queued')) {
      await em.flush();
      await em.execute('select pg_notify(?, ?)', [emailChannel, '']);
    }
    return results;
  });
}

async function resendOne(
  em: EntityManager,
  scope: Scope,
  email: Email,
  now: Date,
  request: ResendRequest,
  planned: Set<string> | undefined,
): Promise<Resent> {
  const { id } = email;
  const answer = { id, newId: null, code: null, reason: null };
  const refused = (code: NonNullable<Resent['code']>, reason: string): Resent => ({
    ...answer,
    result: 'refused',
    code,
    reason,
  });
  const byName = 'ids' in request;
  const elsewhere = async (to: string): Promise<Resent> => ({
    ...answer,
    ...(await sendElsewhere(em, scope, email, now, to, planned)),
  });
  const late =
    email.kind === 'auto-reply' && now.getTime() - email.scheduledAt().getTime() >= replyLastsHours * 60 * 60_000;

  if (email.isLeased(now)) {
    // A query is about those that wait; a worker has taken this one since it was asked.
    if (!byName) return { ...answer, result: 'already-queued', reason: 'is being sent at this moment' };
    return refused('email-leased', 'is being sent at this moment');
  }
  if (request.to !== undefined && email.kind !== 'notification') {
    return refused('email-not-resendable', 'only a notification goes to another address');
  }
  switch (email.state) {
    case 'queued': {
      if (request.to !== undefined) return await elsewhere(request.to);
      if (late && !byName) return { ...answer, result: 'skipped', reason: tooLate };
      // Only a new schedule keeps a late one from being cancelled when its turn comes. One whose worker died may have arrived.
      if (email.dueAt <= now && (!late || email.leaseToken != null))
        return { ...answer, result: 'already-queued', reason: 'was queued already' };
      const reason = `due now, was due ${email.dueAt.toISOString().slice(0, 16)}Z`;
      if (!request.dryRun) email.queueAgain(now);
      return { ...answer, result: 'queued', reason };
    }
    case 'held':
      return refused('email-not-resendable', 'its message is held');
    case 'failed': {
      if (email.message?.status === 'held') return refused('email-not-resendable', 'its message is held');
      if (request.to !== undefined) return await elsewhere(request.to);
      const mayHaveArrived = email.kind === 'auto-reply' && email.failure === 'outcome-unknown';
      if (mayHaveArrived && !byName) {
        return { ...answer, result: 'skipped', reason: 'may have arrived' };
      }
      if (late && !byName) return { ...answer, result: 'skipped', reason: tooLate };
      if (mayHaveArrived && !request.again) {
        return refused('email-not-resendable', 'may have arrived: needs --again');
      }
      if (!request.dryRun) email.queueAgain(now);
      return { ...answer, result: 'queued' };
    }
    case 'cancelled':
    case 'sent': {
      const what = email.state === 'sent' ? 'was sent' : 'was cancelled';
      // A query is about others; this one was sent or cancelled since it was asked.
      if (!byName) return { ...answer, result: 'skipped', reason: `${what} meanwhile` };
      // A cancelled auto-reply is mostly one that its recipient does not want.
      if (email.state === 'cancelled' && email.kind !== 'notification' && email.failure !== 'too-late') {
        return refused('email-not-resendable', `${what}, and only a notification is sent then`);
      }
      if (email.message?.status === 'held') return refused('email-not-resendable', 'its message is held');
      if (!request.again) return refused('email-not-resendable', `${what} already: needs --again`);
      const recipient = request.to ?? email.recipient ?? null;
      const waiting = await em.findOne(Email, { resendOf: id, state: 'queued', recipient });
      if (waiting !== null) {
        return { ...answer, result: 'already-queued', newId: waiting.id, reason: 'queued once more already' };
      }
      const newId = request.dryRun ? null : copyEmail(em, scope, email, now, request.to);
      return { ...answer, result: 'queued', newId, reason: `${what} before` };
    }
  }
}

function notFound(id: string): Resent {
  return { id, result: 'not-found', newId: null, code: 'email-unknown', reason: 'there is no such email' };
}
