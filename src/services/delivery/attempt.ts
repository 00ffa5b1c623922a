import type { Outcome } from '../../mail/mailer.ts';
import type { Scope } from '../scope.ts';
import type { ClearUnsent } from './clear-unsent.ts';
import type { Job, LeasedRow } from './job.ts';
import { startRenewingLease } from './renew-lease.ts';
import type { NextStep } from './retry-schedule.ts';
import type { Settle } from './settle-queue.ts';

export interface AttemptOptions {
  settle: Settle;
  clearUnsent: ClearUnsent;
  /** Ends an attempt that has not handed its mail over; such an attempt does not count. */
  interrupt: AbortSignal;
  /** See `renew-lease.ts`. */
  renewAfterMs: number;
}

/**
 * One attempt to send a claimed row: composes it, sends it and writes the outcome down at once. Never throws.
 *
 * @param scope of this attempt, tagged with the row.
 */
export async function makeAttempt<Row extends LeasedRow, Content>(
  scope: Scope,
  job: Job<Row, Content>,
  row: Row,
  options: AttemptOptions,
): Promise<Outcome['result']> {
  const startedAt = scope.now();
  let mayHandOver = true;
  const clearUnsent: ClearUnsent = async (it) => {
    mayHandOver = await options.clearUnsent(it);
    return mayHandOver;
  };
  const outcome = await composeAndSend(scope, job, row, { ...options, clearUnsent });
  const isPutOff = outcome.result === 'later' || outcome.result === 'away';
  const wasInterrupted = (options.interrupt.aborted || !mayHandOver) && isPutOff;
  const next: NextStep = wasInterrupted
    ? { state: 'queued', failure: null, waitMs: 0, counts: false }
    : job.schedule(row, outcome);
  // First pause, then free the row: otherwise another worker would run into the same error with it.
  if (outcome.result === 'broken') await job.pause?.(scope, outcome);
  const written = await options.settle({ row, startedAt, outcome, next });
  if (written === 'written') report(scope, job.noun, row, outcome, next);
  else if (written === 'lease-lost') scope.log.warn('the lease was lost before the outcome could be written down');
  return outcome.result;
}

async function composeAndSend<Row extends LeasedRow, Content>(
  scope: Scope,
  job: Job<Row, Content>,
  row: Row,
  { interrupt, renewAfterMs, clearUnsent }: AttemptOptions,
): Promise<Outcome> {
  let content: Content;
  try {
    content = await job.compose(scope, row);
  } catch (error) {
    // Retry: an operator may fix the template or restore the key before the schedule ends.
    scope.log.error({ err: error }, `${job.noun} could not be composed`);
    return { result: 'later', reply: `could not be composed: ${(error as Error).message}` };
  }
  const lost = new AbortController();
  let stopRenewing = () => {};
  try {
    return await job.send(content, {
      signal: interrupt,
      abandon: lost.signal,
      ...(job.isAtMostOnce?.(row) && { beforeText: () => clearUnsent(row) }),
      onHandedOver: () => {
        stopRenewing = startRenewingLease(scope, job.table, row, renewAfterMs, () => lost.abort());
      },
    });
  } finally {
    stopRenewing();
  }
}

function report(scope: Scope, noun: string, row: LeasedRow, outcome: Outcome, next: NextStep): void {
  const facts = {
    kind: row.kind,
    outcome: outcome.result,
    code: outcome.code,
    tries: row.tries,
    state: next.state,
    ...(next.state === 'queued' && { waitSeconds: Math.round(next.waitMs / 1000) }),
  };
  if (next.state === 'sent') scope.log.info(facts, `${noun} sent`);
  else if (next.state === 'failed') scope.log.error(facts, `${noun} failed`);
  else scope.log.warn(facts, `${noun} not delivered yet`);
}
