import { validate as isUuid } from 'uuid';
import { HookAttempt, HookDelivery } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { DeliveryState } from '../../words.ts';
import { databaseNow } from '../clock.ts';
import { hookChannel } from '../outbox.ts';
import { cutPage, idsOf, type PageRequest, type Period, readIdCursor, readLimit, timesOf } from '../paging.ts';
import type { Scope } from '../scope.ts';
import { viewAttempt } from '../views.ts';
import { findHook } from './hooks.ts';

/** The period is about when the event happened. */
export interface DeliveryFilter extends Period {
  hook?: string;
  state?: DeliveryState;
}

export type DeliveryView = ReturnType<typeof viewDelivery>;

/** A delivery as the command line shows it. @param now the database's time. */
export function viewDelivery(delivery: HookDelivery, now: Date) {
  return {
    id: delivery.id,
    hook: delivery.hook.name,
    /** Only an active hook is sent to. */
    hookState: delivery.hook.state,
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
    leased: delivery.leaseToken != null && delivery.dueAt > now,
  };
}

/** With what `viewDelivery` shows, without what visitors wrote. */
const shown = { populate: ['hook', 'message'], exclude: ['message.content', 'message.clientAddress'] } as const;

/** The newest first. @throws {Problem} hook-unknown, argument-invalid */
export async function listDeliveries(scope: Scope, request: DeliveryFilter & PageRequest) {
  const limit = readLimit(request.limit);
  const where = { $and: [await deliveriesWhere(scope, request), { id: { $lt: readIdCursor(request.cursor) } }] };
  const rows = await scope.em.find(HookDelivery, where, { ...shown, orderBy: { id: 'desc' }, limit: limit + 1 });
  const now = await databaseNow(scope.em);
  return cutPage(rows as HookDelivery[], limit, (row) => viewDelivery(row, now));
}

/** One delivery with all attempts, the oldest first. @throws {Problem} delivery-unknown */
export async function showDelivery(scope: Scope, id: string) {
  const delivery = await findDelivery(scope, id);
  const attempts = await scope.em.find(HookAttempt, { delivery: id }, { orderBy: { finishedAt: 'asc', id: 'asc' } });
  return {
    ...viewDelivery(delivery, await databaseNow(scope.em)),
    attempts: attempts.map((it) => viewAttempt(scope.keyring, it)),
  };
}

async function findDelivery(scope: Scope, id: string): Promise<HookDelivery> {
  const delivery = isUuid(id) ? await scope.em.findOne(HookDelivery, { id }, shown) : null;
  if (delivery === null) throw new Problem('delivery-unknown', `there is no delivery ${id}`);
  return delivery as HookDelivery;
}

async function deliveriesWhere(scope: Scope, filter: DeliveryFilter) {
  const [ids, created] = [idsOf(filter), timesOf(filter)];
  return {
    ...(ids && { id: ids }),
    ...(created && { createdAt: created }),
    ...(filter.state && { state: filter.state }),
    ...(filter.hook !== undefined && { hook: (await findHook(scope.em, filter.hook)).id }),
  };
}

/**
 * Sends deliveries again under their own ids, or cancels them: they are kept then. Leaves out any that a worker may be
 * sending, and does not cancel sent ones.
 *
 * @returns the deliveries as they are now, the oldest first, and how many of them were changed.
 * @throws {Problem} hook-unknown, delivery-unknown
 */
export async function resendOrCancel(
  scope: Scope,
  act: 'resend' | 'cancel',
  which: DeliveryFilter | { ids: readonly string[] },
): Promise<{ changed: number; items: DeliveryView[] }> {
  const { em } = scope;
  for (const id of 'ids' in which ? which.ids : []) await findDelivery(scope, id);
  const where = 'ids' in which ? { id: { $in: [...which.ids] } } : await deliveriesWhere(scope, which);
  const found = await em.find(HookDelivery, where, { fields: ['id'] });
  const now = await databaseNow(em);
  const isFree = { $or: [{ leaseToken: null }, { dueAt: { $lte: now } }] };
  const changed = await em.nativeUpdate(
    HookDelivery,
    { $and: [where, isFree, act === 'cancel' ? { state: { $in: ['queued', 'failed'] } } : {}] },
    act === 'cancel'
      ? { state: 'cancelled', leaseToken: null }
      : { state: 'queued', requeuedAt: now, failure: null, leaseToken: null, tries: 0, dueAt: now },
  );
  await em.execute('select pg_notify(?, ?)', [hookChannel, '']);
  const ids = { id: { $in: found.map((it) => it.id) } };
  const items = await em.find(HookDelivery, ids, { ...shown, orderBy: { id: 'asc' }, refresh: true });
  return { changed, items: items.map((it) => viewDelivery(it as HookDelivery, now)) };
}
