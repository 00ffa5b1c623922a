import type { MailingContext } from '../../mailing-context.ts';
import type { Bell } from './new-mail-signal.ts';
import { createFlight } from './worker.ts';

/** New mail is heard of at once; this is for retries, for expired leases, and for when nobody rings. */
const pollMs = 5000;

/** After the database failed us: how long until it is asked again. */
const outageMs = 1000;

/**
 * Delivers until `stop` is aborted, then finishes what is in flight within twenty seconds: first all of it, then
 * only what the mail server may already have taken. Never throws: an outage of the database is waited out.
 *
 * @param hasten ends these twenty seconds when it is aborted.
 */
export async function runDeliveryLoop(
  context: MailingContext,
  bell: Bell,
  stop: AbortSignal,
  hasten?: AbortSignal,
): Promise<void> {
  const flight = createFlight(context, stop, { hasten });
  let away = false;
  while (!stop.aborted) {
    try {
      const { mayBeMore } = await flight.takeDue();
      if (away) context.log.info('delivery goes on: the database is back');
      away = false;
      if (flight.isFull || (flight.hasWaiting && !mayBeMore)) await flight.turn();
      else if (!mayBeMore) await bell.rung(pollMs, stop);
    } catch (error) {
      if (!away) context.log.error({ err: error }, 'delivery waits: the database does not answer');
      away = true;
      flight.forgetQueue();
      await bell.rung(outageMs, stop);
    }
  }
  await flight.finish();
}

/**
 * Delivers everything that is due now, and what falls due meanwhile.
 *
 * @param options.hasten as above.
 * @param options.renewAfterMs as in `keep-lease.ts`.
 * @returns how many tries were made.
 */
export async function deliverUntilIdle(
  context: MailingContext,
  stop: AbortSignal,
  options: { hasten?: AbortSignal; renewAfterMs?: number } = {},
): Promise<number> {
  const flight = createFlight(context, stop, options);
  try {
    while (!stop.aborted) {
      const { mayBeMore } = await flight.takeDue();
      if (mayBeMore && !flight.isFull) continue;
      if (flight.isIdle) break;
      await flight.turn();
    }
  } finally {
    await flight.finish();
  }
  return flight.begun;
}
