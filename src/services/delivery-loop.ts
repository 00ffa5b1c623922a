import { setTimeout as pause } from 'node:timers/promises';
import type { MailingContext } from '../context.ts';
import type { Bell } from './bell.ts';
import { type Claim, claimDue } from './claim-due.ts';
import { pauseIfRestored } from './database-identity.ts';
import { deliverEmail } from './deliver-email.ts';
import { probeMail } from './probe-mail.ts';
import { syncErasures } from './replay-erasures.ts';
import { openScope } from './scope.ts';

/** New mail is heard of at once; this is for retries, for expired leases, and for when nobody rings. */
const pollMs = 5000;

/** After a stop is asked for: how long tries may go on, and how long those past their final dot after that. */
const finishMs = 10_000;

/** After the database failed us: how long until it is asked again. */
const outageMs = 1000;

/**
 * Delivers until `stop` is aborted, then finishes what is in flight within twenty seconds: first all of it, then
 * only what the mail server may already have taken. Never throws: an outage of the database is waited out.
 */
export async function runDeliveryLoop(context: MailingContext, bell: Bell, stop: AbortSignal): Promise<void> {
  const flight = createFlight(context, stop);
  const stopped = aborted(stop);
  let away = false;
  while (!stop.aborted) {
    try {
      const { mayBeMore } = await flight.startDue();
      if (away) context.log.info('delivery goes on: the database is back');
      away = false;
      if (flight.isFull) await Promise.race([flight.anyDone(), stopped]);
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
 * @returns how many tries were made.
 */
export async function deliverUntilIdle(context: MailingContext, stop: AbortSignal): Promise<number> {
  const flight = createFlight(context, stop);
  const stopped = aborted(stop);
  let tries = 0;
  try {
    while (!stop.aborted) {
      const { started, mayBeMore } = await flight.startDue();
      tries += started;
      if (mayBeMore && !flight.isFull) continue;
      if (flight.isIdle) break;
      await Promise.race([flight.anyDone(), stopped]);
    }
  } finally {
    await flight.finish();
  }
  return tries;
}

/** The tries that are under way: at most one for each lane of the mailer. */
function createFlight(context: MailingContext, stop: AbortSignal) {
  const tries = new Set<Promise<void>>();
  const interrupt = new AbortController();
  let knownQueue = false;
  return {
    /** After an outage the database may be another one: somebody may have restored it. */
    forgetQueue(): void {
      knownQueue = false;
    },
    get isFull(): boolean {
      return tries.size >= context.mailer.lanes;
    },
    get isIdle(): boolean {
      return tries.size === 0;
    },
    anyDone: () => Promise.race(tries),
    /** Claims what is due for the lanes that are free, and starts sending it. */
    async startDue(): Promise<{ started: number; mayBeMore: boolean }> {
      const free = context.mailer.lanes - tries.size;
      if (free <= 0) return { started: 0, mayBeMore: true };
      const scope = openScope(context);
      if (!knownQueue) {
        await pauseIfRestored(scope);
        await syncErasures(scope);
      }
      let claim = await claimDue(scope, free);
      // Nothing is due, or the queue is paused.
      if (isEmpty(claim) && (await probeMail(context, stop, { atOnce: !knownQueue })))
        claim = await claimDue(scope, free);
      knownQueue = true;
      for (const id of claim.givenUp) {
        scope.log.error({ email: id }, 'email failed: its worker was lost and nobody knows whether it was sent');
      }
      for (const email of claim.emails) {
        const delivery = deliverEmail(context, email, interrupt.signal).finally(() => tries.delete(delivery));
        tries.add(delivery);
      }
      return {
        started: claim.emails.length,
        mayBeMore: claim.emails.length + claim.givenUp.length === free,
      };
    },
    async finish(): Promise<void> {
      const all = Promise.all(tries);
      await Promise.race([all, pause(finishMs, undefined, { ref: false })]);
      interrupt.abort();
      await Promise.race([all, pause(finishMs, undefined, { ref: false })]);
      await context.mailer[Symbol.asyncDispose]();
      await all;
    },
  };
}

function isEmpty(claim: Claim): boolean {
  return claim.emails.length === 0 && claim.givenUp.length === 0;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
