import { randomUUID } from 'node:crypto';
import { grace } from '../../grace.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { openScope } from '../scope.ts';
import { replayErasureLog } from '../senders/replay-erasures.ts';
import { cancelReasons, cancelUnwanted } from './cancel-unwanted.ts';
import { type Claim, claimDue } from './claim-due.ts';
import { createRate, type Held, handMs, holdFor, isStale, mostPerLane } from './claimed-ahead.ts';
import { deliverEmail } from './deliver-email.ts';
import { pauseIfRestored } from './pause-after-restore.ts';
import { probeMail } from './probe-mail-server.ts';
import { renewAfterMs } from './renew-lease.ts';
import { createReturns } from './return-unsent.ts';
import { createSettleQueue } from './settle-emails.ts';

/** After a stop is asked for: how long tries may go on, and how long those past their final dot after that. */
const finishMs = 10_000;

/**
 * What one worker has to do with emails: those in the hand, claimed and not begun, and the tries that are under way, at
 * most one for each lane of the mailer.
 *
 * It takes as many ahead as were done within the last second, so that where mail flows it is claimed by the dozen and
 * no lane waits for the database; where it trickles, or the mail server is slow, nothing is taken before its turn.
 */
export function createFlight(
  context: MailingContext,
  stop: AbortSignal,
  options: { hasten?: AbortSignal | undefined; renewAfterMs?: number } = {},
) {
  const { hasten, renewAfterMs: renewAfter = renewAfterMs } = options;
  const { lanes } = context.mailer;
  const scope = openScope(context);
  const interrupt = new AbortController();
  const settle = createSettleQueue(context, interrupt.signal);
  const tries = new Set<Promise<void>>();
  const rate = createRate();
  const returns = createReturns(scope);
  let hand: Held[] = [];
  /** Before they come to the hand, while it is asked whether they are still wanted. */
  let unasked: Held[] = [];
  let begun = 0;
  let knownQueue = false;
  let wake = Promise.withResolvers<void>();
  stop.addEventListener('abort', () => wake.resolve(), { once: true });

  const ahead = () => Math.min(lanes * mostPerLane, rate.lastSecond());

  function begin(): void {
    while (tries.size < lanes && !stop.aborted) {
      if (hand[0] === undefined || isStale(hand[0])) return;
      const { email } = hand.shift() as Held;
      begun += 1;
      const delivery = deliverEmail(context, email, settle, interrupt.signal, renewAfter).then((result) => {
        tries.delete(delivery);
        rate.count();
        // The queue is paused by now: what is in the hand must not meet the same fault.
        if (result === 'broken') for (const it of [...hand, ...unasked]) it.isGivenUp = true;
        begin();
        wake.resolve();
      });
      tries.add(delivery);
    }
  }

  /** Cancels what nobody wants any more. */
  async function askWhetherWanted(): Promise<void> {
    if (unasked.length === 0) return;
    const cancelled = await cancelUnwanted(
      scope,
      unasked.map((it) => it.email),
    ).catch((error: unknown) => {
      // Some may be cancelled, and only the answer lost: none of them may be begun.
      returns.add(unasked.map((it) => it.email));
      unasked = [];
      throw error;
    });
    for (const { email } of unasked) {
      const reason = cancelled.get(email.id);
      if (reason === undefined) continue;
      scope.log.info(
        { email: email.id, receipt: email.message?.receipt, kind: email.kind, reason },
        `email cancelled: ${cancelReasons[reason]}`,
      );
    }
    hand.push(...unasked.filter((it) => !cancelled.has(it.email.id)));
    unasked = [];
    begin();
  }

  /** Takes out of the hand what is to be given back. */
  function putAside(which: (it: Held) => boolean): void {
    returns.add(hand.filter(which).map((it) => it.email));
    hand = hand.filter((it) => !which(it));
  }

  async function claimWithToken(limit: number): Promise<Claim> {
    const leaseToken = randomUUID();
    try {
      return await claimDue(scope, limit, leaseToken);
    } catch (error) {
      returns.addClaim(leaseToken);
      throw error;
    }
  }

  async function claim(limit: number): Promise<Claim> {
    if (!knownQueue) {
      await pauseIfRestored(scope);
      await replayErasureLog(scope);
    }
    let found = await claimWithToken(limit);
    // Nothing is due, or the queue is paused.
    if (isEmpty(found) && (await probeMail(context, stop, { atOnce: !knownQueue })))
      found = await claimWithToken(limit);
    knownQueue = true;
    for (const id of found.givenUp) {
      scope.log.error({ email: id }, 'email failed: its worker was lost and nobody knows whether it was sent');
    }
    return found;
  }

  return {
    /** How many tries were begun. */
    get begun(): number {
      return begun;
    },
    /** Whether there is nothing to be taken before a try has ended. */
    get isFull(): boolean {
      return tries.size >= lanes && hand.length >= ahead() / 2;
    },
    /** Whether something waits for a lane. */
    get hasWaiting(): boolean {
      return hand.length > 0;
    },
    get isIdle(): boolean {
      return tries.size + hand.length === 0;
    },
    /** After an outage the database may be another one: somebody may have restored it. */
    forgetQueue(): void {
      knownQueue = false;
    },
    /** Resolves when a try has ended, when the hand has waited too long, or at the stop. */
    async turn(): Promise<void> {
      const timer = setTimeout(() => wake.resolve(), handMs);
      await wake.promise;
      clearTimeout(timer);
      if (!stop.aborted) wake = Promise.withResolvers<void>();
    },
    /** Claims what is due for the lanes that are free and some ahead, and begins to send it. */
    async takeDue(): Promise<{ mayBeMore: boolean }> {
      putAside(isStale);
      // What stood behind a stale one.
      begin();
      await returns.giveBackAll();
      const limit = lanes + ahead() - tries.size - hand.length;
      if (limit <= 0) return { mayBeMore: true };
      const { emails, givenUp } = await claim(limit);
      const until = holdFor(handMs);
      for (const email of emails) (email.kind === 'notification' ? hand : unasked).push({ email, until });
      begin();
      await askWhetherWanted();
      return { mayBeMore: emails.length + givenUp.length === limit };
    },
    async finish(): Promise<void> {
      const all = Promise.all(tries);
      putAside(() => true);
      const back = returns
        .giveBackAll()
        .catch((error) =>
          scope.log.warn({ err: error }, 'emails that were not begun could not be given back; their leases will end'),
        );
      await Promise.race([all, grace(finishMs, hasten)]);
      interrupt.abort();
      await Promise.race([all, grace(finishMs, hasten)]);
      await context.mailer[Symbol.asyncDispose]();
      await Promise.all([all, back]);
    },
  };
}

function isEmpty(claim: Claim): boolean {
  return claim.emails.length === 0 && claim.givenUp.length === 0;
}
