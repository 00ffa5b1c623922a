import type { Mail, Outcome } from '../../mail/mailer.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { openScope, type Scope } from '../scope.ts';
import type { ClaimedEmail } from './claim-due.ts';
import { explainBrokenTransport, pauseQueue } from './pause.ts';
import { startRenewingLease } from './renew-lease.ts';
import { decideNextStep, type NextStep } from './retry-schedule.ts';
import type { Settle } from './settle-emails.ts';

/** The parts of delivering that need other wings (`emails/email-job.ts`). */
export interface EmailJob {
  /** Runs before the first claim and again after an outage, since somebody may have restored the database. */
  replayErasures(scope: Scope): Promise<unknown>;
  /** Cancels the emails that nobody wants any more. @returns their ids. */
  cancelUnwanted(scope: Scope, emails: readonly ClaimedEmail[]): Promise<ReadonlySet<string>>;
  compose(scope: Scope, email: ClaimedEmail): Promise<Mail>;
}

export interface AttemptOptions {
  job: EmailJob;
  settle: Settle;
  /** Ends an attempt that has not handed its mail over; such an attempt does not count. */
  interrupt: AbortSignal;
  /** See `renew-lease.ts`. */
  renewAfterMs: number;
}

/** One attempt to send a claimed email: composes it, sends it and writes the outcome down at once. Never throws. */
export async function makeAttempt(
  context: MailingContext,
  email: ClaimedEmail,
  options: AttemptOptions,
): Promise<Outcome['result']> {
  const scope = openScope(context, { email: email.id, ...(email.message && { receipt: email.message.receipt }) });
  const startedAt = scope.now();
  const outcome = await composeAndSend(context.mailer, scope, email, options);
  const wasInterrupted = options.interrupt.aborted && outcome.result === 'later';
  const next: NextStep = wasInterrupted
    ? { state: 'queued', failure: null, waitMs: 0, counts: false }
    : decideNextStep(email, outcome, Math.random());
  // First pause, then free the email: otherwise another worker would run into the same error with it.
  if (outcome.result === 'broken') await pauseBroken(scope, outcome);
  const written = await options.settle({ email, startedAt, outcome, next });
  if (written === 'written') report(scope, email, outcome, next);
  else if (written === 'lease-lost') scope.log.warn('the lease was lost before the outcome could be written down');
  return outcome.result;
}

async function composeAndSend(
  mailer: MailingContext['mailer'],
  scope: Scope,
  email: ClaimedEmail,
  { job, interrupt, renewAfterMs }: AttemptOptions,
): Promise<Outcome> {
  let mail: Mail;
  try {
    mail = await job.compose(scope, email);
  } catch (error) {
    // Retry: an operator may fix the template or restore the key before the schedule ends.
    scope.log.error({ err: error }, 'email could not be composed');
    return { result: 'later', reply: `could not be composed: ${(error as Error).message}` };
  }
  const lost = new AbortController();
  let stopRenewing = () => {};
  try {
    return await mailer.send(mail, {
      signal: interrupt,
      abandon: lost.signal,
      onHandedOver: () => {
        stopRenewing = startRenewingLease(scope, email, renewAfterMs, () => lost.abort());
      },
    });
  } finally {
    stopRenewing();
  }
}

/** Every other email would fail the same way, so none is tried until the mail server lets us in again. Never throws. */
async function pauseBroken(scope: Scope, outcome: Outcome): Promise<void> {
  try {
    if (!(await pauseQueue(scope, 'broken', outcome.reply))) return;
    const { fact, fix } = explainBrokenTransport(scope.config);
    scope.log.error(
      { code: outcome.code },
      `the queue is paused, because ${fact}: ${fix}, then look at the health report`,
    );
  } catch (error) {
    // The next attempt will meet the same error and pause the queue.
    scope.log.error({ err: error }, 'the queue could not be paused');
  }
}

function report(scope: Scope, email: ClaimedEmail, outcome: Outcome, next: NextStep): void {
  const facts = {
    kind: email.kind,
    outcome: outcome.result,
    code: outcome.code,
    tries: email.tries,
    state: next.state,
    ...(next.state === 'queued' && { waitSeconds: Math.round(next.waitMs / 1000) }),
  };
  if (next.state === 'sent') scope.log.info(facts, 'email sent');
  else if (next.state === 'failed') scope.log.error(facts, 'email failed');
  else scope.log.warn(facts, 'email not delivered yet');
}
