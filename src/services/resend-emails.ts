import type { EntityManager } from '@mikro-orm/postgresql';
import { LockMode } from '@mikro-orm/postgresql';
import { validate as isUuid } from 'uuid';
import { inTransaction } from '../database/transaction.ts';
import { Email } from '../entities/index.ts';
import type { ProblemCode } from '../problems.ts';
import { databaseNow } from './database-now.ts';
import { emailChannel } from './email-channel.ts';
import { newEmailIdentity } from './email-identity.ts';
import { type EmailFilter, emailsWhere } from './emails.ts';
import type { Scope } from './scope.ts';

/** Which emails to send once more: these, or the failed ones of a query. */
export type ResendRequest = ({ ids: readonly string[] } | { failed: Omit<EmailFilter, 'state'> }) & {
  /** Also what was sent already, or may have been. */
  again?: boolean;
  /** Only say what would happen. */
  dryRun?: boolean;
  /** Ends between two batches; what was done until then is reported. */
  stop?: AbortSignal;
  onProgress?: (done: number) => void;
};

export interface Resent {
  id: string;
  /**
   * `queued`: it will be sent again (with `dryRun`: would be). `already-queued`: so it would have been anyway.
   * `skipped`: left out of a query, for a reason that asks for a person's decision.
   */
  result: 'queued' | 'already-queued' | 'skipped' | 'refused' | 'not-found';
  /** The new email that is sent in the place of one that was sent already. */
  newId: string | null;
  code: Extract<ProblemCode, 'email-unknown' | 'email-leased' | 'email-not-resendable'> | null;
  /** Why not, or why again. */
  reason: string | null;
}

/** Few enough that the rows are locked for a moment only. */
const batchSize = 100;

/**
 * Queues emails once more. A failed one goes back into the queue as it is, Message-ID and all; for a sent one a new
 * row is written that links to it. Each batch of rows is locked while it is decided upon, so that of two operators
 * (or two programs) asking at once the second finds the emails queued.
 *
 * An auto-reply whose outcome is unknown may have arrived: a query leaves it out, and by its id it needs `again`.
 *
 * @returns what became of each, in the order of the ids; those of a query the oldest first.
 * @throws {Problem} form-unknown
 */
export async function resendEmails(scope: Scope, request: ResendRequest): Promise<Resent[]> {
  const results: Resent[] = [];
  for await (const ids of 'ids' in request ? inBatches([...new Set(request.ids)]) : failedIds(scope, request.failed)) {
    if (request.stop?.aborted) break;
    results.push(...(await resendBatch(scope, ids, request)));
    request.onProgress?.(results.length);
  }
  return results;
}

/** How many emails a query is about. @throws {Problem} form-unknown */
export async function countFailed(scope: Scope, filter: Omit<EmailFilter, 'state'>): Promise<number> {
  return await scope.em.count(Email, await emailsWhere(scope, { ...filter, state: 'failed' }));
}

async function* failedIds(scope: Scope, filter: Omit<EmailFilter, 'state'>): AsyncGenerator<string[]> {
  const where = await emailsWhere(scope, { ...filter, state: 'failed' });
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

async function resendBatch(scope: Scope, ids: readonly string[], request: ResendRequest): Promise<Resent[]> {
  // An error inside goes through: one that was caught here would leave a transaction that PostgreSQL has given up.
  return await inTransaction(scope.em, async (em) => {
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
      results.push(email === undefined ? notFound(id) : await resendOne(em, scope, email, now, request));
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

  if (email.isLeased(now)) return refused('email-leased', 'is being sent at this moment');
  switch (email.state) {
    case 'queued':
      return { ...answer, result: 'already-queued', reason: 'was queued already' };
    case 'held':
      return refused('email-not-resendable', 'its message is held');
    case 'cancelled':
      return refused('email-not-resendable', 'was cancelled');
    case 'failed': {
      if (email.message?.status === 'held') return refused('email-not-resendable', 'its message is held');
      const mayHaveArrived = email.kind === 'auto-reply' && email.failure === 'outcome-unknown';
      if (mayHaveArrived && !byName) {
        return { ...answer, result: 'skipped', reason: 'may have arrived' };
      }
      if (mayHaveArrived && !request.again) {
        return refused('email-not-resendable', 'may have arrived: needs --again');
      }
      if (!request.dryRun) email.queueAgain(now);
      return { ...answer, result: 'queued' };
    }
    case 'sent': {
      if (email.message?.status === 'held') return refused('email-not-resendable', 'its message is held');
      // A query is about failed ones; this one was sent since it was asked.
      if (!byName) return { ...answer, result: 'skipped', reason: 'was sent meanwhile' };
      if (!request.again) return refused('email-not-resendable', 'was sent already: needs --again');
      const waiting = await em.findOne(Email, { resendOf: id, state: 'queued' });
      if (waiting !== null) {
        return { ...answer, result: 'already-queued', newId: waiting.id, reason: 'queued once more already' };
      }
      const newId = request.dryRun ? null : writeCopy(em, scope, email, now);
      return { ...answer, result: 'queued', newId, reason: 'was sent before' };
    }
  }
}

/** The same mail to the same recipient, as a mail of its own. */
function writeCopy(em: EntityManager, scope: Scope, email: Email, now: Date): string {
  const identity = newEmailIdentity(scope.config);
  em.create(Email, {
    ...identity,
    kind: email.kind,
    state: 'queued',
    message: email.message ?? null,
    recipient: email.recipient ?? null,
    sender: email.sender ?? null,
    dueAt: now,
    createdAt: now,
    resendOf: email,
  });
  return identity.id;
}

function notFound(id: string): Resent {
  return { id, result: 'not-found', newId: null, code: 'email-unknown', reason: 'there is no such email' };
}
