import type { Mail, Outcome } from '../../mail/mailer.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { openScope, type Scope } from '../scope.ts';
import type { ClaimedEmail } from './claim-due.ts';
import { composeEmail } from './compose-email.ts';
import { describeNoWay, pauseQueue } from './pause.ts';
import { keepLease } from './renew-lease.ts';
import { decideNextStep } from './retry-schedule.ts';
import type { Settle } from './settle-emails.ts';

/**
 * One try to deliver one claimed email: composed, sent, and written down as the very next thing. Never throws.
 *
 * @param interrupt ends a try that has not handed its mail over; such a try does not count.
 * @param renewAfterMs as in `keep-lease.ts`.
 * @returns what it came to.
 */
export async function deliverEmail(
  context: MailingContext,
  email: ClaimedEmail,
  settle: Settle,
  interrupt: AbortSignal,
  renewAfterMs: number,
): Promise<Outcome['result']> {
  const scope = openScope(context, { email: email.id, ...(email.message && { receipt: email.message.receipt }) });
  const startedAt = scope.now();
  const outcome = await send(context, scope, email, interrupt, renewAfterMs);
  const interrupted = interrupt.aborted && outcome.result === 'later';
  const next = interrupted
    ? ({ state: 'queued', failure: null, waitMs: 0, counts: false } as const)
    : decideNextStep(email, outcome, Math.random());
  // Before the email is free again, or another worker would take it to the same closed door.
  if (outcome.result === 'broken') await pauseBroken(scope, outcome);
  const written = await settle({ email, startedAt, outcome, next });
  if (written === 'written') report(scope, email, outcome, next);
  else if (written === 'lease-lost') scope.log.warn('lease was lost before the outcome could be written down');
  return outcome.result;
}

async function send(
  context: MailingContext,
  scope: Scope,
  email: ClaimedEmail,
  interrupt: AbortSignal,
  renewAfterMs: number,
): Promise<Outcome> {
  let mail: Mail;
  try {
    mail = await composeEmail(context, scope, email);
  } catch (error) {
    // A template or a seal that is at fault may be mended while the schedule lasts.
    scope.log.error({ err: error }, 'email could not be composed');
    return { result: 'later', reply: `could not be composed: ${(error as Error).message}` };
  }
  const lost = new AbortController();
  let letGo = () => {};
  try {
    return await context.mailer.send(mail, {
      signal: interrupt,
      abandon: lost.signal,
      onHandedOver: () => {
        letGo = keepLease(scope, email, renewAfterMs, () => lost.abort());
      },
    });
  } finally {
    letGo();
  }
}

/** Every further email would meet the same: nobody tries one until the mail server lets us in again. */
async function pauseBroken(scope: Scope, outcome: Outcome): Promise<void> {
  try {
    if (!(await pauseQueue(scope, 'broken', outcome.reply))) return;
    const { fact, fix } = describeNoWay(scope.config);
    scope.log.error(
      { code: outcome.code },
      `the queue is paused, because ${fact}: ${fix}, then look at the health report`,
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
