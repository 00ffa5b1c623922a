import type { EntityManager } from '@mikro-orm/postgresql';
import { inTransaction } from '../../database/statement.ts';
import { Duty, Form } from '../../entities/index.ts';
import { databaseNow } from '../clock.ts';
import { listOf } from '../ids.ts';
import { beforeAllIds } from '../paging.ts';
import { type RemovedMessage, removeMessages } from '../remove-messages.ts';
import type { Scope } from '../scope.ts';
import { clientAddressDays, expiryRules, receivedBefore, waitsForMail } from './retention-rules.ts';

/** Name of the periodic task; its row says when everything expired was last removed. */
export const purgeTask = 'purge';

/** Rows per transaction, few enough that nobody waits for their locks. */
const batchSize = 200;

/** What a batch removed. */
export interface Removal {
  messages: RemovedMessage[];
  clientAddresses: number;
  senders: number;
}

export interface PurgeRound {
  /**
   * Removes the next expired rows in the given transaction. Each batch is complete, so a round may be stopped or killed
   * between two batches.
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
    ...expiryRules(scope.config, forms, now).map(oldMessages),
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

/**
 * Walks by id: a batch reads no more rows than its size, and no row twice, however many are kept.
 *
 * @param isExpired SQL condition.
 */
function oldMessages(isExpired: string): Step {
  const stillDue = `${isExpired} and not ${waitsForMail}`;
  let after = beforeAllIds;
  return async (em) => {
    const found = await em.execute<{ id: string }[]>(
      `select id from messages where ${isExpired} and id > ? order by id limit ${batchSize}`,
      [after],
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
    // Their senders are locked.
    const { gone } = await removeLonelySenders(em, (which) => `${which} and id = any(?::uuid[]) and ${isLonely}`, [
      listOf(messages.map((it) => it.senderId)),
    ]);
    after = found.at(-1)?.id ?? after;
    return { ...nothing, messages, senders: gone, mayBeMore: found.length === batchSize };
  };
}

function oldClientAddresses(now: Date): Step {
  return async (em) => {
    const emptied = await em.execute<unknown[]>(
      `update messages set client_address = null where id in (
         select id from messages
         where client_address is not null and ${receivedBefore(clientAddressDays, now)}
         order by id limit ${batchSize} for update skip locked
       ) returning id`,
    );
    return { ...nothing, clientAddresses: emptied.length, mayBeMore: emptied.length === batchSize };
  };
}

const isLonely = 'not exists (select from messages where sender_id = senders.id)';

/** Deletes senders whose messages were deleted by hand. */
async function sendersWithoutMessages(em: EntityManager): Promise<Removal & { mayBeMore: boolean }> {
  // PostgreSQL checks the count again after waiting for a locked row: a sender who has just written again stays.
  const { gone, emptied } = await removeLonelySenders(
    em,
    (which) =>
      `id in (select id from senders where ${which} and message_count = 0 and ${isLonely}
         limit ${batchSize} for update skip locked)`,
  );
  return { ...nothing, senders: gone, mayBeMore: Math.max(emptied, gone) === batchSize };
}

/**
 * Deletes senders who have no message left. A blocked sender stays, or the block would end; only the address is kept.
 *
 * @param select SQL condition: the lonely senders among those for whom `which` is true.
 */
async function removeLonelySenders(em: EntityManager, select: (which: string) => string, values: string[] = []) {
  const emptied = await em.execute<unknown[]>(
    `update senders set name = null where ${select('blocked_at is not null and name is not null')} returning id`,
    values,
  );
  const gone = await em.execute<unknown[]>(
    `delete from senders where ${select('blocked_at is null')} returning id`,
    values,
  );
  return { emptied: emptied.length, gone: gone.length };
}
