import { setTimeout as pause, setImmediate as turnOfEvents } from 'node:timers/promises';
import type { MailingContext } from '../context.ts';
import { leaseMs } from './claim-due.ts';
import { isOutage } from './outage.ts';
import { openScope } from './scope.ts';
import { type Settlement, settleEmails } from './settle-emails.ts';

/** Writes down how one try ended, and resolves when that is committed. */
export type Settle = (settlement: Settlement) => Promise<Written>;

/**
 * - `written`: committed.
 * - `lease-lost`: another worker has the email by now; nothing was changed.
 * - `unheard`: the database did not hear of it while the lease lasted, or while this process may wait.
 */
export type Written = 'written' | 'lease-lost' | 'unheard';

interface Waiting {
  settlement: Settlement;
  lastTryAt: number;
  resolve: (written: Written) => void;
}

/** One alone leaves the lanes waiting for the disk; with more, each carries too little. */
const mostFlights = 2;

/**
 * The mail server has spoken and the database must hear of it: at once while fewer than two statements are under way,
 * and otherwise together with all that ended meanwhile, as soon as one of the two is committed. So a try waits for one
 * statement of others at most, and many that end together cost one commit. While the database is away it is asked again, until the lease is
 * over or this process has to end.
 */
export function createSettleQueue(context: MailingContext, interrupt: AbortSignal): Settle {
  const scope = openScope(context);
  let waiting: Waiting[] = [];
  let flights = 0;

  async function writeAll(): Promise<void> {
    flights += 1;
    // Answers that have come already are read first: they are written down by the same statement.
    await turnOfEvents();
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      const left = await write(batch);
      if (left.length === 0) continue;
      waiting = [...left, ...waiting];
      await pause(1000);
    }
    flights -= 1;
  }

  /** @returns those that shall be tried again. */
  async function write(batch: Waiting[]): Promise<Waiting[]> {
    try {
      const settled = await settleEmails(
        scope,
        batch.map((it) => it.settlement),
      );
      for (const it of batch) it.resolve(settled.has(it.settlement.email.id) ? 'written' : 'lease-lost');
      return [];
    } catch (error) {
      // Where it is not the database's hour, one of them may be at fault: the others must not wait for it.
      if (batch.length > 1 && !isOutage(error)) return (await Promise.all(batch.map((it) => write([it])))).flat();
      scope.log.error({ err: error, emails: batch.length }, 'outcome could not be written down yet');
      const isLate = (it: Waiting) => interrupt.aborted || Date.now() > it.lastTryAt;
      for (const it of batch.filter(isLate)) it.resolve('unheard');
      return batch.filter((it) => !isLate(it));
    }
  }

  return (settlement) =>
    new Promise((resolve) => {
      // Also where it was renewed meanwhile, no lease lasts longer than this.
      waiting.push({ settlement, lastTryAt: Date.now() + leaseMs, resolve });
      if (flights < mostFlights) void writeAll();
    });
}
