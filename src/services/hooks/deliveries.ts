import { type EntityManager, FlushMode, LockMode } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { HookAttempt, HookDelivery } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { DeliveryState } from '../../words.ts';
import { databaseNow } from '../clock.ts';
import { hookChannel } from '../outbox.ts';
import {
  cutPage,
  idsOf,
  type Page,
  type PageRequest,
  type Period,
  readIdCursor,
  readLimit,
  timesOf,
} from '../paging.ts';
import type { Scope } from '../scope.ts';
import { type AttemptView, viewAttempt } from '../views.ts';
import { findHook } from './hooks.ts';

/** The period is about when the event happened. */
export interface DeliveryFilter extends Period {
  hook?: string;
  state?: DeliveryState;
  event?: string;
}

export type DeliveryView = ReturnType<typeof viewDelivery>;

/** A delivery as the command line shows it. @param now the database's time. */
export function viewDelivery(delivery: HookDelivery, now: Date) {
  return {
    id: delivery.id,
    hook: delivery.hook.name,
    event: delivery.event,
    state: delivery.state,
    receipt: delivery.message?.receipt ?? null,
    messageId: delivery.message?.id ?? null,
    emailId: delivery.email?.id ?? null,
    tries: delivery.tries,
    dueAt: delivery.dueAt.toISOString(),
    failure: delivery.failure ?? null,
    createdAt: delivery.createdAt.toISOString(),
    sentAt: delivery.sentAt?.toISOString() ?? null,
    /** Whether a worker may be sending it right now. */
    leased: delivery.isLeased(now),
  };
}

/** With what `viewDelivery` shows, without what visitors wrote. */
const shown = { populate: ['hook', 'message'], exclude: ['message.content', 'message.clientAddress'] } as const;

/** The newest first. @throws {Problem} hook-unknown, argument-invalid */
export async function listDeliveries(scope: Scope, request: DeliveryFilter & PageRequest): Promise<Page<DeliveryView>> {
  const limit = readLimit(request.limit);
  const where = { $and: [await deliveriesWhere(scope, request), { id: { $lt: readIdCursor(request.cursor) } }] };
  const rows = await scope.em.find(HookDelivery, where, { ...shown, orderBy: { id: 'desc' }, limit: limit + 1 });
  const now = await databaseNow(scope.em);
  return cutPage(rows as HookDelivery[], limit, (row) => viewDelivery(row, now));
}

/** One delivery with all attempts, the oldest first. @throws {Problem} delivery-unknown */
export async function showDelivery(scope: Scope, name: string): Promise<DeliveryView & { attempts: AttemptView[] }> {
  const [id = ''] = await findDeliveryIds(scope, [name]);
  const delivery = await scope.em.findOneOrFail(HookDelivery, { id }, shown);
  const attempts = await scope.em.find(HookAttempt, { delivery: id }, { orderBy: { finishedAt: 'asc', id: 'asc' } });
  return {
    ...viewDelivery(delivery as HookDelivery, await databaseNow(scope.em)),
    attempts: attempts.map((it) => viewAttempt(scope.keyring, it, 'hook_attempts')),
  };
}

/** Ids by the first eight or more characters of each. @throws {Problem} delivery-unknown */
export async function findDeliveryIds(scope: Scope, names: readonly string[]): Promise<string[]> {
  const ids = new Set<string>();
  for (const name of names) {
    const hex = name.trim().replaceAll('-', '');
    const id = { $gte: hex.padEnd(32, '0'), $lte: hex.padEnd(32, 'f') };
    const isId = /^[0-9a-f]{8,32}$/i.test(hex);
    const [found, another] = isId ? await scope.em.find(HookDelivery, { id }, { fields: ['id'], limit: 2 }) : [];
    if (found === undefined) throw new Problem('delivery-unknown', `there is no delivery ${name}`);
    if (another !== undefined) throw new Problem('delivery-unknown', `several deliveries begin with ${name}`);
    ids.add(found.id);
  }
  return [...ids];
}

/** The oldest first. @throws {Problem} hook-unknown */
export async function selectDeliveryIds(scope: Scope, filter: DeliveryFilter): Promise<string[]> {
  const where = await deliveriesWhere(scope, filter);
  const rows = await scope.em.find(HookDelivery, where, { fields: ['id'], orderBy: { id: 'asc' } });
  return rows.map((it) => it.id);
}

async function deliveriesWhere(scope: Scope, filter: DeliveryFilter) {
  const [ids, created] = [idsOf(filter), timesOf(filter)];
  return {
    ...(ids && { id: ids }),
    ...(created && { createdAt: created }),
    ...(filter.state && { state: filter.state }),
    ...(filter.event && { event: filter.event }),
    ...(filter.hook !== undefined && { hook: (await findHook(scope.em, filter.hook)).id }),
  };
}

/** The delivery as it was, and what happened to it. */
export type Settled = DeliveryView & Decision;

/** Small, so that rows are locked only for a moment. */
const batchSize = 100;

/**
 * Sends deliveries again under their own ids, or cancels them: they are kept then. A worker may be sending a leased one.
 *
 * @param options.only skips deliveries that are in another state by now.
 */
export async function resendOrCancel(
  scope: Scope,
  act: 'resend' | 'cancel',
  ids: readonly string[],
  { dryRun, only }: { dryRun: boolean; only?: DeliveryState },
): Promise<Settled[]> {
  const results: Settled[] = [];
  for (let start = 0; start < ids.length; start += batchSize) {
    const where = { id: { $in: ids.slice(start, start + batchSize) } };
    const decideAll = async (em: EntityManager) => {
      const lock = dryRun ? {} : ({ lockMode: LockMode.PESSIMISTIC_WRITE } as const);
      const rows = await em.find(HookDelivery, where, { orderBy: { id: 'asc' }, refresh: true, ...lock });
      await em.populate(rows, shown.populate, { exclude: shown.exclude });
      const now = await databaseNow(em);
      if (!dryRun) await em.execute('select pg_notify(?, ?)', [hookChannel, '']);
      return rows.map((row) => ({ ...viewDelivery(row, now), ...decide(row, act, now, only) }));
    };
    // A dry run changes only the entities in its memory.
    const dry = scope.em.fork({ flushMode: FlushMode.COMMIT });
    results.push(...(dryRun ? await decideAll(dry) : await inTransaction(scope.em, decideAll)));
  }
  return results;
}

type Decision = { result: string; code: string | null; reason: string | null };

function answer(result: string, code: string | null = null, reason: string | null = null): Decision {
  return { result, code, reason };
}

/** Changes the delivery in memory only. */
function decide(delivery: HookDelivery, act: 'resend' | 'cancel', now: Date, only?: DeliveryState): Decision {
  const { state } = delivery;
  if (only !== undefined && state !== only) return answer('skipped', null, `is ${state} meanwhile`);
  if (delivery.isLeased(now)) return answer('refused', 'delivery-leased', 'is being sent at this moment');
  if (act === 'resend' && state === 'queued' && delivery.dueAt <= now) return answer('already-queued');
  if (act === 'cancel' && state === 'cancelled') return answer('already-cancelled');
  if (act === 'cancel' && state === 'sent') return answer('refused', 'delivery-sent', 'was sent already');
  if (act === 'cancel') delivery.cancel();
  else delivery.queueAgain(now);
  return answer(act === 'cancel' ? 'cancelled' : 'queued');
}
