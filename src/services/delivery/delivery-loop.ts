import type { Context } from '../../context.ts';
import type { Job, LeasedRow } from './job.ts';
import type { NewMailSignal } from './new-mail-signal.ts';
import { Worker, type WorkerOptions } from './worker.ts';

/** New mail wakes the loop at once. This is for retries, expired leases and lost signals. */
const pollMs = 5000;

/** How long to wait after a database error. */
const outageMs = 1000;

/**
 * Delivers until `stop` is aborted, then finishes what is in flight within twenty seconds: for the first ten everything,
 * then only mail that has been handed over and may already be accepted. Never throws; it waits for an outage to end.
 *
 * @param hasten shortens these twenty seconds when it is aborted.
 */
export async function runDeliveryLoop<Row extends LeasedRow, Content>(
  context: Context,
  job: Job<Row, Content>,
  newMail: NewMailSignal,
  stop: AbortSignal,
  hasten?: AbortSignal,
): Promise<void> {
  const worker = new Worker(context, job, stop, { hasten });
  let isAway = false;
  while (!stop.aborted) {
    try {
      const { mayBeMore } = await worker.takeDue();
      if (isAway) context.log.info('delivery goes on: the database is back');
      isAway = false;
      if (worker.isFull || (worker.hasWaiting && !mayBeMore)) await worker.nextTurn();
      else if (!mayBeMore) await newMail.wait(pollMs, stop);
    } catch (error) {
      const { state } = worker;
      if (!isAway) context.log.error({ err: error, state }, 'delivery waits: the database does not answer');
      isAway = true;
      worker.isPrepared = false;
      await newMail.wait(outageMs, stop);
    }
  }
  await worker.stop();
}

/**
 * Delivers everything that is due now, and what becomes due meanwhile.
 *
 * @returns how many attempts were made.
 */
export async function deliverUntilIdle<Row extends LeasedRow, Content>(
  context: Context,
  job: Job<Row, Content>,
  stop: AbortSignal,
  options: WorkerOptions = {},
): Promise<number> {
  const worker = new Worker(context, job, stop, options);
  try {
    while (!stop.aborted) {
      const { mayBeMore } = await worker.takeDue();
      if (mayBeMore && !worker.isFull) continue;
      if (worker.isIdle) break;
      await worker.nextTurn();
    }
  } finally {
    await worker.stop();
  }
  return worker.started;
}
