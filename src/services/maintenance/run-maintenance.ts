import { setTimeout as sleep } from 'node:timers/promises';
import type { Context } from '../../context.ts';
import { inTransaction } from '../../database/statement.ts';
import { Duty } from '../../entities/index.ts';
import { clocksDifferBy } from '../clock.ts';
import { queueHeldSummaries } from '../delivery/held-summary.ts';
import { openScope, type Scope } from '../scope.ts';
import { logNewErasures } from '../senders/replay-erasures.ts';
import { openPurgeRound, type PurgeRound, purgeTask } from './purge.ts';
import { countWaiting } from './purge-preview.ts';
import { resetFutureTimes } from './reset-future-times.ts';
import { heldDays } from './retention-rules.ts';

/** How often each process checks which periodic tasks are due. */
const roundMs = 10 * 60_000;
const roundsPerHour = 6;

/** Deletes rows that no message takes along, with a margin after their last use. */
const expired = [
  `delete from message_keys where stored_at < now() - interval '25 hours'`,
  `delete from recent_posts where stored_at < now() - interval '1 hour'`,
  `delete from used_captchas where expires_at < now() - interval '1 hour'`,
  `delete from reply_days where replied_at < now() - interval '25 hours'`,
  `delete from reply_hours where hour < now() - interval '2 hours'`,
  `delete from reply_limits where hour < now() - interval '2 hours'`,
  `delete from notify_hours where hour < now() - interval '2 hours'`,
  // The messages that a summary listed are gone by then. One that was sent again goes after its copy, whose row names it.
  `delete from emails where kind = 'held-summary' and state in ('sent', 'cancelled')
     and greatest(created_at, requeued_at, sent_at) < now() - interval '${heldDays} days'
     and not exists (select from emails as copy where copy.resend_of_id = emails.id)`,
];

/**
 * Runs the periodic tasks until `stop` is aborted. However many processes run this, one of them does each task. After an
 * outage it tries again in the next round.
 */
export async function runMaintenance(context: Context, stop: AbortSignal): Promise<void> {
  for (let round = 0; !stop.aborted; round++) {
    try {
      // Done by each process: each machine has an erasure log of its own.
      if (round % roundsPerHour === 0) await logNewErasures(openScope(context, { task: 'housekeeping' }));
      await runMaintenanceOnce(context, stop);
    } catch (error) {
      context.log.warn({ err: error }, 'maintenance failed; trying again in ten minutes');
    }
    await sleep(roundMs, undefined, { signal: stop }).catch(() => {});
  }
}

/** One round. */
export async function runMaintenanceOnce(context: Context, stop?: AbortSignal): Promise<void> {
  const scope = openScope(context, { task: 'housekeeping' });
  await resetFutureTimes(scope);
  await doAtMostEvery(scope, 'forget-expired', '10 minutes', async ({ em }) => {
    for (const statement of expired) await em.execute(statement);
    return true;
  });
  await doAtMostEvery(scope, 'held-summary', '1 day', async (inside, now, doneAt) => {
    const queued = await queueHeldSummaries(inside, doneAt, now);
    if (queued > 0) scope.log.info({ queued }, 'summaries of held messages queued');
    return queued > 0;
  });
  await purgeEveryHour(scope, stop);
}

async function clocksAgree(scope: Scope): Promise<boolean> {
  const aheadMs = await clocksDifferBy(scope);
  if (aheadMs === 0) return true;
  scope.log.warn(
    { databaseAheadSeconds: Math.round(aheadMs / 1000) },
    'nothing is purged: the clocks of the database and this machine differ by more than an hour',
  );
  return false;
}

/** Each batch is a transaction that locks the task's row, so after a kill the next process continues. */
async function purgeEveryHour(scope: Scope, stop: AbortSignal | undefined): Promise<void> {
  if (!(await clocksAgree(scope))) return;
  const removed = { messages: 0, clientAddresses: 0, senders: 0 };
  let round: PurgeRound | undefined;
  const runBatch = async (inside: Scope) => {
    round ??= await openPurgeRound(scope);
    const batch = await round.runBatch(inside);
    removed.messages += batch.messages.length;
    removed.clientAddresses += batch.clientAddresses;
    removed.senders += batch.senders;
    return round.isDone;
  };
  while (stop?.aborted !== true && (await doAtMostEvery(scope, purgeTask, '1 hour', runBatch))) {
    if (round?.isDone) break;
  }
  if (round === undefined) return;
  if (Object.values(removed).some((it) => it > 0)) scope.log.info(removed, 'purged expired data');
  const waiting = await countWaiting(scope);
  if (waiting === 0) return;
  scope.log.warn(
    { waiting },
    'expired messages are kept because nobody was notified about them yet: a dry run of the purge counts them by form',
  );
}

/**
 * Runs a periodic task unless this or another process ran it within `interval`. The task's row is locked meanwhile; a
 * process that finds it locked skips the task.
 *
 * @param work runs in a transaction. If it returns false (nothing to do), the task stays due.
 * @returns whether it ran.
 */
async function doAtMostEvery(
  scope: Scope,
  name: string,
  interval: string,
  work: (inside: Scope, now: Date, doneAt: Date) => Promise<boolean>,
): Promise<boolean> {
  return await inTransaction(scope.em, async (em) => {
    await em.execute(`insert into duties (name, done_at) values (?, 'epoch') on conflict do nothing`, [name]);
    const [due] = await em.execute<{ now: Date; done_at: Date }[]>(
      `select now() as now, done_at from duties
       where name = ? and done_at <= now() - ?::interval for update skip locked`,
      [name, interval],
    );
    if (due === undefined) return false;
    const now = new Date(due.now);
    const done = await work({ ...scope, em }, now, new Date(due.done_at));
    if (done) await em.nativeUpdate(Duty, { name }, { doneAt: now });
    return true;
  });
}
