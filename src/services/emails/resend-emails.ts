import { LockMode } from '@mikro-orm/postgresql';
import { validate as isUuid } from 'uuid';
import { inTransaction } from '../../database/statement.ts';
import { Email } from '../../entities/index.ts';
import { databaseNow } from '../clock.ts';
import { emailChannel, readRecipient } from '../outbox.ts';
import { walkById } from '../paging.ts';
import type { Scope } from '../scope.ts';
import { emailsWhere } from './emails.ts';
import { type ResendQuery, type ResendRequest, type Resent, resendOne, takeTurn } from './resend-one.ts';

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
  const pages = walkById((after) =>
    scope.em
      .fork()
      .find(
        Email,
        { $and: [where, { id: { $gt: after } }] },
        { fields: ['id'], orderBy: { id: 'asc' }, limit: batchSize },
      ),
  );
  for await (const rows of pages) yield rows.map((row) => row.id);
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

function notFound(id: string): Resent {
  return { id, result: 'not-found', newId: null, code: 'email-unknown', reason: 'there is no such email' };
}
