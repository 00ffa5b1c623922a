import { type EntityManager, FlushMode, LockMode } from '@mikro-orm/postgresql';
import { validate as isUuid } from 'uuid';
import { inTransaction } from '../../database/statement.ts';
import { Email } from '../../entities/index.ts';
import { databaseNow } from '../clock.ts';
import { emailChannel, readRecipient } from '../outbox.ts';
import { walkById } from '../paging.ts';
import type { Scope } from '../scope.ts';
import { emailsWhere } from './emails.ts';
import { type ResendQuery, type ResendRequest, type Resent, resendOne } from './resend-one.ts';

/** Small, so that rows are locked only for a moment. */
const batchSize = 100;

/** Advisory lock: only one transaction at a time sends notifications to another address. Any constant number does. */
const elsewhereLock = 7_226_946;

/**
 * Queues emails again. A failed email gets a new retry schedule, and so does a queued one that waits for a later time. For
 * a sent email, and for a cancelled notification, a copy is queued that links to it. With `to`, an unsent notification is
 * cancelled, and a copy goes to the other address.
 *
 * An auto-reply whose outcome is unknown may have arrived: a query skips it, and by its id it needs `again`. A query also
 * skips auto-replies that waited for more than a day (`cancel-unwanted.ts`), or days of them would be sent at once.
 *
 * Each batch is locked while it is decided upon. If two operators resend the same failed email, it is sent once.
 *
 * @returns one result for each id, in their order; for a query, the oldest email first.
 * @throws {Problem} form-unknown, argument-invalid
 */
export async function resendEmails(scope: Scope, given: ResendRequest): Promise<Resent[]> {
  const request = given.to === undefined ? given : { ...given, to: readRecipient(given.to) };
  const results: Resent[] = [];
  const batches =
    'ids' in request ? inBatches([...new Set(request.ids)]) : idsOfQuery(scope, request.query, request.to);
  // A dry run changes only the entities in its memory, and takes no locks.
  const dry = request.dryRun
    ? { em: scope.em.fork({ flushMode: FlushMode.COMMIT }), planned: new Set<string>() }
    : undefined;
  for await (const ids of batches) {
    if (request.stop?.aborted) break;
    results.push(
      ...(dry === undefined
        ? await inTransaction(scope.em, async (em) => await resendBatch(em, scope, ids, request))
        : await decideAll(dry.em, scope, ids, request, dry.planned)),
    );
    request.onProgress?.(results.length);
  }
  return results;
}

/** Counts the emails that a query selects; `to` as in a request. @throws {Problem} form-unknown, argument-invalid */
export async function countResendable(scope: Scope, query: ResendQuery, to?: string): Promise<number> {
  return await scope.em.count(Email, await resendable(scope, query, to && readRecipient(to)));
}

/** Counts the queued emails of a query that need no resend, because they are due. */
export async function countAlreadyDue(scope: Scope, query: ResendQuery): Promise<number> {
  if (query.state !== 'queued') return 0;
  return await scope.em.count(Email, {
    ...(await emailsWhere(scope, query)),
    dueAt: { $lte: await databaseNow(scope.em) },
  });
}

/** Mail that is due needs no resend. But during a pause it may have to go to another address. */
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

/** Errors are not caught here: PostgreSQL has given up the transaction then. */
async function resendBatch(
  em: EntityManager,
  scope: Scope,
  ids: readonly string[],
  request: ResendRequest,
): Promise<Resent[]> {
  // Taken before any row lock: two operators could lock different emails about one message, and not see each other's copy.
  if (request.to !== undefined) await em.execute(`select pg_advisory_xact_lock(${elsewhereLock})`);
  const results = await decideAll(em, scope, ids, request);
  if (results.some((it) => it.result === 'queued')) {
    await em.flush();
    await em.execute('select pg_notify(?, ?)', [emailChannel, '']);
  }
  return results;
}

/** @param planned in a dry run: the messages that the other address would be told about. */
async function decideAll(
  em: EntityManager,
  scope: Scope,
  ids: readonly string[],
  request: ResendRequest,
  planned?: Set<string>,
): Promise<Resent[]> {
  const emails = await em.find(
    Email,
    { id: { $in: ids.filter((id) => isUuid(id)) } },
    // Everybody locks in the same order, so that two transactions never deadlock.
    { orderBy: { id: 'asc' }, refresh: true, ...(planned === undefined && { lockMode: LockMode.PESSIMISTIC_WRITE }) },
  );
  await em.populate(emails, ['message'], { fields: ['message.status'], refresh: true });
  const now = await databaseNow(em);
  const byId = new Map(emails.map((email) => [email.id, email]));
  const results: Resent[] = [];
  for (const id of ids) {
    const email = byId.get(id.toLowerCase());
    results.push(email === undefined ? notFound(id) : await resendOne({ em, scope, email, now, request, planned }));
  }
  return planned === undefined ? results : results.map((it) => (it.result === 'queued' ? { ...it, newId: null } : it));
}

function notFound(id: string): Resent {
  return { id, result: 'not-found', newId: null, code: 'email-unknown', reason: 'there is no such email' };
}
