import type { EntityManager } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { Duty, Form } from '../../entities/index.ts';
import { databaseNow } from '../clock.ts';
import { retentionOf } from '../forms/effective-settings.ts';
import { beforeAllIds } from '../paging.ts';
import { listOf, type RemovedMessage, removeMessages } from '../remove-messages.ts';
import type { Scope } from '../scope.ts';
import { clientAddressDays, heldDays, heldTooLong, idBefore, receivedBefore, waitsForMail } from './retention-rules.ts';

/** Name of the periodic task; its row says when everything expired was last removed. */
export const purgeTask = 'purge';

/** Rows that one transaction removes: few enough that nobody has to wait for it. */
const batchSize = 200;

/** What a batch removed. */
export interface Removal {
  messages: RemovedMessage[];
  clientAddresses: number;
  senders: number;
}

export interface PurgeRound {
  /**
   * Removes the next expired rows, in the transaction of the given scope. Each batch is complete, so a round may stop or
   * be killed between two batches.
   */
  runBatch(inside: Pick<Scope, 'em'>): Promise<Removal>;
  /** Whether the last batch of the last rule found nothing more. */
  readonly isDone: boolean;
}

/** @returns `mayBeMore`: whether it found a full batch. Another process may have removed those rows first. */
type Step = (em: EntityManager) => Promise<Removal & { mayBeMore: boolean }>;

/** One pass over everything expired, rule by rule. Forms and settings are read when it opens. */
export async function openPurgeRound(scope: Scope): Promise<PurgeRound> {
  const em = scope.em.fork();
  const now = await databaseNow(em);
  const forms = await em.findAll(Form, { orderBy: { slug: 'asc' } });
  const steps: Step[] = [
    ...forms.flatMap((form) => {
      const days = retentionOf(scope.config, form);
      return days === 0 ? [] : [oldMessages(form.id, days, now)];
    }),
    oldHeldMessages(now),
    oldClientAddresses(now),
    sendersWithoutMessages,
  ];
  let next = 0;
  return {
    async runBatch(inside) {
      const step = steps[next];
      if (step === undefined) return nothing;
      const { mayBeMore, ...removal } = await step(inside.em);
      if (!mayBeMore) next++;
      return removal;
    },
    get isDone() {
      return next >= steps.length;
    },
  };
}

/** Removes everything expired, batch by batch, until `stop` is aborted. */
export async function purge(
  scope: Scope,
  stop: AbortSignal,
  report: (removal: Removal) => void = () => {},
): Promise<void> {
  const round = await openPurgeRound(scope);
  while (!round.isDone && !stop.aborted) {
    report(await inTransaction(scope.em, (em) => round.runBatch({ em })));
  }
  if (round.isDone) await scope.em.fork().upsert(Duty, { name: purgeTask, doneAt: await databaseNow(scope.em) });
}

const nothing: Removal = { messages: [], clientAddresses: 0, senders: 0 };

function oldMessages(formId: string, days: number, now: Date): Step {
  return removing('form_id = ? and id < ?', [formId, idBefore(days, now)], receivedBefore(days));
}

function oldHeldMessages(now: Date): Step {
  return removing('id < ?', [idBefore(heldDays, now)], heldTooLong);
}

/**
 * Walks by id: a batch reads no more rows than its size, and no row twice, however many have to wait.
 *
 * @param where SQL condition that an index serves. @param due SQL condition that decides.
 */
function removing(where: string, values: string[], due: string): Step {
  const stillDue = `${due} and not ${waitsForMail}`;
  let after = beforeAllIds;
  return async (em) => {
    const found = await em.execute<{ id: string }[]>(
      `select id from messages where ${where} and id > ? and ${due} order by id limit ${batchSize}`,
      [...values, after],
    );
    const free = await em.execute<{ id: string }[]>(
      `select id from messages where id = any(?::uuid[]) and ${stillDue} order by id`,
      [listOf(found.map((it) => it.id))],
    );
    const messages = await removeMessages(
      em,
      free.map((it) => it.id),
      stillDue,
    );
    const senders = await removeLonelySenders(em, messages);
    after = found.at(-1)?.id ?? after;
    return { ...nothing, messages, senders, mayBeMore: found.length === batchSize };
  };
}

/**
 * Deletes the senders (already locked) of removed messages who have no message left. A blocked sender stays, or the block
 * would end; only the address is kept.
 */
async function removeLonelySenders(em: EntityManager, removed: readonly RemovedMessage[]): Promise<number> {
  if (removed.length === 0) return 0;
  const ids = listOf(removed.map((it) => it.senderId));
  const lonely = 'id = any(?::uuid[]) and not exists (select from messages where sender_id = senders.id)';
  await em.execute(`update senders set name = null where blocked_at is not null and name is not null and ${lonely}`, [
    ids,
  ]);
  const gone = await em.execute<unknown[]>(`delete from senders where blocked_at is null and ${lonely} returning id`, [
    ids,
  ]);
  return gone.length;
}

function oldClientAddresses(now: Date): Step {
  return async (em) => {
    const emptied = await em.execute<unknown[]>(
      `update messages set client_address = null where id in (
         select id from messages
         where client_address is not null and id < ? and ${receivedBefore(clientAddressDays)}
         order by id limit ${batchSize} for update skip locked
       ) returning id`,
      [idBefore(clientAddressDays, now)],
    );
    return { ...nothing, clientAddresses: emptied.length, mayBeMore: emptied.length === batchSize };
  };
}

/** Deletes senders whose messages were deleted by hand. */
async function sendersWithoutMessages(em: EntityManager): Promise<Removal & { mayBeMore: boolean }> {
  // PostgreSQL checks the count again after waiting for a locked row: a sender who has just written again stays.
  const lonely = 'message_count = 0 and not exists (select from messages where sender_id = senders.id)';
  const few = (which: string) =>
    `id in (select id from senders where ${which} and ${lonely} limit ${batchSize} for update skip locked)`;
  const isNamed = 'blocked_at is not null and name is not null';
  const emptied = await em.execute<unknown[]>(`update senders set name = null where ${few(isNamed)} returning id`);
  const gone = await em.execute<unknown[]>(`delete from senders where ${few('blocked_at is null')} returning id`);
  return { ...nothing, senders: gone.length, mayBeMore: Math.max(emptied.length, gone.length) === batchSize };
}
