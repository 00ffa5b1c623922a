import type { EntityManager } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { Duty, Form } from '../../entities/index.ts';
import { databaseNow } from '../clock.ts';
import { retentionOf } from '../forms/effective-settings.ts';
import { beforeAllIds } from '../paging.ts';
import { listOf, type RemovedMessage, removeMessages } from '../remove-messages.ts';
import type { Scope } from '../scope.ts';
import { clientAddressDays, heldDays, heldTooLong, idBefore, receivedBefore, waitsForMail } from './retention-rules.ts';

/** Under which it is on record when everything that was past its time was last removed. */
export const purgeDuty = 'purge';

/** Rows that one transaction removes: few enough that nobody waits for it. */
const batchSize = 200;

/** What went, or goes. */
export interface Removal {
  messages: RemovedMessage[];
  clientAddresses: number;
  senders: number;
}

export interface PurgeRound {
  /**
   * Removes the next few that are past their time, in the transaction of the given scope. Each batch is whole by
   * itself, so that a round may end, or die, between any two of them.
   */
  runBatch(inside: Pick<Scope, 'em'>): Promise<Removal>;
  /** Whether nothing was left at the last look. */
  readonly isDone: boolean;
}

/** @returns whether more was found than fits into one batch. What was found, another process may have removed first. */
type Step = (em: EntityManager) => Promise<Removal & { mayBeMore: boolean }>;

/** One walk through everything that is past its time, rule after rule; read which they are at its beginning. */
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

/** Everything that is past its time, batch after batch, until `stop` is aborted. */
export async function purge(
  scope: Scope,
  stop: AbortSignal,
  report: (removal: Removal) => void = () => {},
): Promise<void> {
  const round = await openPurgeRound(scope);
  while (!round.isDone && !stop.aborted) {
    report(await inTransaction(scope.em, (em) => round.runBatch({ em })));
  }
  if (round.isDone) await scope.em.fork().upsert(Duty, { name: purgeDuty, doneAt: await databaseNow(scope.em) });
}

const nothing: Removal = { messages: [], clientAddresses: 0, senders: 0 };

function oldMessages(formId: string, days: number, now: Date): Step {
  return removing('form_id = ? and id < ?', [formId, idBefore(days, now)], receivedBefore(days));
}

function oldHeldMessages(now: Date): Step {
  return removing('id < ?', [idBefore(heldDays, now)], heldTooLong);
}

/**
 * Goes from one id to the next: a batch looks at no more than its size, and none looks again at what has to wait.
 *
 * @param where what an index finds. @param due what settles it.
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
 * Of the senders of removed messages, which are locked: those who have none left go too. A blocked one stays, since
 * what that address writes is held from the block on, and keeps nothing but its address.
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

/** Those whose messages were deleted by hand. */
async function sendersWithoutMessages(em: EntityManager): Promise<Removal & { mayBeMore: boolean }> {
  // The count is asked again of a row that somebody else had: who has just written again stays.
  const lonely = 'message_count = 0 and not exists (select from messages where sender_id = senders.id)';
  const few = (which: string) =>
    `id in (select id from senders where ${which} and ${lonely} limit ${batchSize} for update skip locked)`;
  const isNamed = 'blocked_at is not null and name is not null';
  const emptied = await em.execute<unknown[]>(`update senders set name = null where ${few(isNamed)} returning id`);
  const gone = await em.execute<unknown[]>(`delete from senders where ${few('blocked_at is null')} returning id`);
  return { ...nothing, senders: gone.length, mayBeMore: Math.max(emptied.length, gone.length) === batchSize };
}
