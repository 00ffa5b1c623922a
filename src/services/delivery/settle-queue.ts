import { setTimeout as pause, setImmediate as turnOfEvents } from 'node:timers/promises';
import type { Context } from '../../context.ts';
import { isOutage } from '../../database/outage.ts';
import { openScope } from '../scope.ts';
import { type Job, type LeasedRow, leaseMs, type Settlement } from './job.ts';

/** Writes down how one attempt ended, and resolves when that is committed. */
export type Settle = (settlement: Settlement) => Promise<Written>;

/**
 * - `written`: committed.
 * - `lease-lost`: another worker has the row by now; nothing was changed.
 * - `unheard`: the database could not be reached while the lease lasted, or before this process had to end.
 */
export type Written = 'written' | 'lease-lost' | 'unheard';

interface Waiting {
  settlement: Settlement;
  lastTryAt: number;
  resolve: (written: Written) => void;
}

/** With one statement, the lanes would wait for the disk. With three, each would carry too little. */
const maxInFlight = 2;

/**
 * Writes outcomes to the database: at once if fewer than two statements run, otherwise in one batch when one of them is
 * committed. So an attempt waits for at most one other statement, and attempts that end together share a commit.
 * While the database is away, it retries until the lease has expired or this process has to end.
 */
export function createSettleQueue(
  context: Context,
  { table, settle }: Pick<Job<LeasedRow, unknown>, 'table' | 'settle'>,
  interrupt: AbortSignal,
): Settle {
  const scope = openScope(context);
  let waiting: Waiting[] = [];
  let inFlight = 0;

  async function writeAll(): Promise<void> {
    inFlight += 1;
    // Read replies that have already arrived first, so that the same statement writes their outcomes.
    await turnOfEvents();
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      const left = await write(batch);
      if (left.length === 0) continue;
      waiting = [...left, ...waiting];
      await pause(1000);
    }
    inFlight -= 1;
  }

  /** @returns the settlements to retry. */
  async function write(batch: Waiting[]): Promise<Waiting[]> {
    try {
      const settled = await settle(
        scope,
        batch.map((it) => it.settlement),
      );
      for (const it of batch) it.resolve(settled.has(it.settlement.row.id) ? 'written' : 'lease-lost');
      return [];
    } catch (error) {
      // If it is not an outage, one settlement may be the cause: write them one by one.
      if (batch.length > 1 && !isOutage(error)) return (await Promise.all(batch.map((it) => write([it])))).flat();
      scope.log.error({ err: error, [table.rows]: batch.length }, 'outcome could not be written down yet');
      const isLate = (it: Waiting) => interrupt.aborted || Date.now() > it.lastTryAt;
      for (const it of batch.filter(isLate)) it.resolve('unheard');
      return batch.filter((it) => !isLate(it));
    }
  }

  return (settlement) =>
    new Promise((resolve) => {
      // Even a lease that was renewed just now has expired by then.
      waiting.push({ settlement, lastTryAt: Date.now() + leaseMs, resolve });
      if (inFlight < maxInFlight) void writeAll();
    });
}
