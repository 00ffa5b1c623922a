import { setTimeout as pause } from 'node:timers/promises';
import type { MailingContext } from '../context.ts';
import type { Mail, Outcome } from '../mail/mailer.ts';
import { type ClaimedEmail, leaseMs } from './claim-due.ts';
import { composeEmail } from './compose-email.ts';
import { pauseQueue } from './queue-pause.ts';
import { decideNextStep } from './retry-schedule.ts';
import { openScope, type Scope } from './scope.ts';
import { type Settlement, settleEmails } from './settle-emails.ts';
import { cancelIfUnwanted } from './suppressions.ts';

/**
 * One try to deliver one claimed email: composed, sent, and written down as the very next thing. Never throws.
 *
 * @param interrupt ends a try that has not handed its mail over; such a try does not count.
 */
export async function deliverEmail(
  context: MailingContext,
  email: ClaimedEmail,
  interrupt: AbortSignal,
): Promise<void> {
  const scope = openScope(context, { email: email.id, ...(email.message && { receipt: email.message.receipt }) });
  const startedAt = scope.now();
  const outcome = await send(context, scope, email, interrupt);
  if (outcome === 'unwanted') {
    scope.log.info({ kind: email.kind }, 'email cancelled: its recipient wants none');
    return;
  }
  const interrupted = interrupt.aborted && outcome.result === 'later';
  const next = interrupted
    ? ({ state: 'queued', failure: null, waitMs: 0, counts: false } as const)
    : decideNextStep(email, outcome, Math.random());
  // Before the email is free again, or another worker would take it to the same closed door.
  if (outcome.result === 'broken') await pauseBroken(scope, outcome);
  const written = await settleWithinLease(scope, { email, startedAt, outcome, next }, interrupt);
  if (written) report(scope, email, outcome, next);
}

async function send(
  context: MailingContext,
  scope: Scope,
  email: ClaimedEmail,
  interrupt: AbortSignal,
): Promise<Outcome | 'unwanted'> {
  let mail: Mail;
  try {
    if (await cancelIfUnwanted(scope, email)) return 'unwanted';
    mail = await composeEmail(context, scope, email);
  } catch (error) {
    // A template or a seal that is at fault may be mended while the schedule lasts.
    scope.log.error({ err: error }, 'email could not be composed');
    return { result: 'later', reply: `could not be composed: ${(error as Error).message}` };
  }
  return await context.mailer.send(mail, { signal: interrupt });
}

/**
 * The mail server has spoken and the database must hear of it: asks again until the lease is over, or until this
 * process has to end.
 *
 * @returns whether it is written down.
 */
async function settleWithinLease(scope: Scope, settlement: Settlement, interrupt: AbortSignal): Promise<boolean> {
  const lastTryAt = Date.now() + leaseMs;
  for (;;) {
    try {
      const settled = await settleEmails(scope, [settlement]);
      if (settled.has(settlement.email.id)) return true;
      scope.log.warn('lease was lost before the outcome could be written down');
      return false;
    } catch (error) {
      scope.log.error({ err: error, outcome: settlement.outcome.result }, 'outcome could not be written down yet');
      if (Date.now() > lastTryAt || interrupt.aborted) return false;
      await pause(1000);
    }
  }
}

/** Every further email would meet the same: nobody tries one until the mail server lets us in again. */
async function pauseBroken(scope: Scope, outcome: Outcome): Promise<void> {
  try {
    if (!(await pauseQueue(scope, 'broken', outcome.reply))) return;
    scope.log.error(
      { code: outcome.code },
      'mail server does not let us in: the queue is paused until it does; check SMTP_* and run "ruffinweb health"',
    );
  } catch (error) {
    // The next try finds out the same.
    scope.log.error({ err: error }, 'the queue could not be paused');
  }
}

function report(scope: Scope, email: ClaimedEmail, outcome: Outcome, next: { state: string; waitMs: number }): void {
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
