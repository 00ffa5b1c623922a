import type { EntityManager } from '@mikro-orm/postgresql';
import { Attempt, HookAttempt, Message } from '../../entities/index.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import { databaseNow } from '../clock.ts';
import { readPause } from '../delivery/pause/pause.ts';
import { findFormId } from '../forms/forms.ts';
import { type DeliveryView, viewDelivery } from '../hooks/deliveries.ts';
import { idsOf } from '../paging.ts';
import type { Scope } from '../scope.ts';
import { viewAttempt, viewEmail, viewMessage } from '../views.ts';

/** One event. Programs read these names: a field that does not fit an event is null or empty. */
const blank = {
  at: '',
  event: 'message-stored' as
    | 'message-stored'
    | 'message-held'
    | 'email-sent'
    | 'email-retried'
    | 'email-failed'
    | 'hook-sent'
    | 'hook-retried'
    | 'hook-failed'
    | 'queue-paused'
    | 'queue-resumed',
  form: null as string | null,
  receipt: null as string | null,
  messageId: null as string | null,
  emailId: null as string | null,
  /** The kind of email, or which event a hook is told about. */
  kind: null as string | null,
  hook: null as string | null,
  deliveryId: null as string | null,
  /** The message's sender, or the email's recipient. */
  address: null as string | null,
  /** Why a message is held, an email or a delivery failed, or the queue is paused. */
  reasons: [] as readonly string[],
  /** What the mail server or the hook said, or the operator who paused the queue. */
  said: null as string | null,
  /** When the email or the delivery is tried again. */
  nextAt: null as string | null,
};
export type WatchEvent = typeof blank;

/** A row has the time when its statement began, and is visible after the commit: each look goes this far back. */
const overlapMs = 30_000;
/** At most so many rows for each look; the next look reads the others. */
const batchSize = 500;

/**
 * Finds what happened since the first look. Keeps its place between looks, which may use different connections.
 *
 * @param form slug; pauses concern every form. Throws `form-unknown` at the first look.
 */
export function watchEvents(form: string | undefined): (scope: Scope) => Promise<WatchEvent[]> {
  let formId: string | undefined;
  let pausedFor = '';
  const readMessages = readOnce(findMessages, (it) => it.receivedAt);
  const readAttempts = readOnce(findAttempts, (it) => it.finishedAt);
  const readHookAttempts = readOnce(findHookAttempts, (it) => it.finishedAt);
  return async (scope) => {
    const { keyring } = scope;
    const em = scope.em.fork();
    const now = await databaseNow(em);
    if (form !== undefined) formId ??= await findFormId(scope, form);
    const events = [
      ...(await readMessages(em, now, formId)).map((it) => messageEvent(scope, it)),
      ...(await readAttempts(em, now, formId)).map((it) => attemptEvent(scope, it, now)),
      ...(await readHookAttempts(em, now, formId)).map((it) => hookEvent(scope, it, now)),
    ].sort((a, b) => (a.at < b.at ? -1 : 1));
    const pause = await readPause(em, keyring);
    const paused = pause === null ? '' : `${pause.cause} ${pause.since}`;
    if (pause !== null && paused !== pausedFor) {
      const { since, cause, reason } = pause;
      events.push({ ...blank, at: since, event: 'queue-paused', reasons: [cause], said: reason });
    } else if (paused !== pausedFor) events.push({ ...blank, at: now.toISOString(), event: 'queue-resumed' });
    pausedFor = paused;
    return events;
  };
}

type Find<Row> = (em: EntityManager, after: Date, seen: string[], formId: string | undefined) => Promise<Row[]>;

/** Returns each row of a table once, though looks overlap. */
function readOnce<Row extends { id: string }>(find: Find<Row>, atOf: (row: Row) => Date) {
  let after: Date | undefined;
  const seen = new Map<string, Date>();
  return async (em: EntityManager, now: Date, formId: string | undefined): Promise<Row[]> => {
    after ??= now;
    const rows = await find(em, after, [...seen.keys()], formId);
    for (const row of rows) seen.set(row.id, atOf(row));
    const last = rows.length < batchSize ? undefined : rows.at(-1);
    const readUntil = last === undefined ? now : atOf(last);
    after = new Date(Math.max(after.getTime(), readUntil.getTime() - overlapMs));
    for (const [id, at] of seen) if (at <= after) seen.delete(id);
    return rows;
  };
}

const findMessages: Find<Message> = (em, after, seen, form) =>
  em.find(
    Message,
    { id: { ...idsOf({ since: after }), $nin: seen }, receivedAt: { $gt: after }, ...(form && { form }) },
    { populate: ['form', 'sender'], exclude: ['clientAddress'], orderBy: { receivedAt: 'asc' }, limit: batchSize },
  ) as Promise<Message[]>;

/** By time: the attempt of a lost worker has a random id. */
const findAttempts: Find<Attempt> = (em, after, seen, form) =>
  em.find(
    Attempt,
    { id: { $nin: seen }, finishedAt: { $gt: after }, ...(form && { email: { message: { form } } }) },
    {
      populate: ['email.message.form', 'email.sender'],
      exclude: ['email.message.content', 'email.message.clientAddress'],
      orderBy: { finishedAt: 'asc' },
      limit: batchSize,
    },
  ) as Promise<Attempt[]>;

const findHookAttempts: Find<HookAttempt> = (em, after, seen, form) =>
  em.find(
    HookAttempt,
    { id: { $nin: seen }, finishedAt: { $gt: after }, ...(form && { delivery: { message: { form } } }) },
    {
      populate: ['delivery.hook', 'delivery.message.form'],
      exclude: ['delivery.message.content', 'delivery.message.clientAddress'],
      orderBy: { finishedAt: 'asc' },
      limit: batchSize,
    },
  ) as Promise<HookAttempt[]>;

function messageEvent({ keyring }: Scope, message: Message): WatchEvent {
  const { id, receivedAt: at, status, form, receipt, email: address, reasons } = viewMessage(keyring, message);
  const event = status === 'held' ? 'message-held' : 'message-stored';
  return { ...blank, at, event, form, receipt, messageId: id, address, reasons };
}

function attemptEvent({ keyring }: Scope, attempt: Attempt, now: Date): WatchEvent {
  const { id: emailId, kind, to: address, form, ...email } = viewEmail(keyring, attempt.email, now);
  const event = stepOf(keyring, attempt, email);
  return { ...event, event: `email-${event.event}`, form, emailId, kind, address };
}

function hookEvent({ keyring }: Scope, attempt: HookAttempt, now: Date): WatchEvent {
  const { id: deliveryId, event: kind, hook, emailId, ...delivery } = viewDelivery(attempt.delivery, now);
  const event = stepOf(keyring, attempt, delivery);
  const form = attempt.delivery.message?.form.slug ?? null;
  const said = [attempt.code, event.said].filter(Boolean).join(' ') || null;
  return { ...event, event: `hook-${event.event}`, form, emailId, kind, hook, deliveryId, said };
}

type Job = Pick<DeliveryView, 'failure' | 'dueAt' | 'receipt' | 'messageId'> & { state: string };

/** What an attempt meant for an email or a delivery, which is shown as it is now. */
function stepOf(keyring: Keyring, attempt: Attempt | HookAttempt, { state, failure, dueAt, receipt, messageId }: Job) {
  const { outcome, finishedAt: at, reply: said } = viewAttempt(keyring, attempt);
  const about = { ...blank, at, receipt, messageId, said };
  if (outcome === 'accepted') return { ...about, event: 'sent' as const };
  const isFailed = outcome === 'refused' || state === 'failed';
  if (isFailed) return { ...about, event: 'failed' as const, reasons: failure === null ? [] : [failure] };
  return { ...about, event: 'retried' as const, nextAt: state === 'queued' ? dueAt : null };
}
