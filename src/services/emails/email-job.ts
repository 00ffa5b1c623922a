import type { Mail, Outcome } from '../../mail/mailer.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { type ClaimedEmail, claimDue } from '../delivery/claim-due.ts';
import type { Job } from '../delivery/job.ts';
import { explainBrokenTransport, pauseQueue } from '../delivery/pause.ts';
import { pauseIfRestored } from '../delivery/pause-after-restore.ts';
import { probeMail } from '../delivery/probe-mail-server.ts';
import { decideNextStep } from '../delivery/retry-schedule.ts';
import type { Scope } from '../scope.ts';
import { replayErasureLog } from '../senders/replay-erasures.ts';
import { cancelReasons, cancelUnwanted } from './cancel-unwanted.ts';
import { composeEmail } from './compose-email.ts';

/** What a worker needs to send emails with this context's mailer. */
export function createEmailJob(context: MailingContext): Job<ClaimedEmail, Mail> {
  const { mailer } = context;
  return {
    noun: 'email',
    lanes: mailer.lanes,
    async prepare(scope) {
      await pauseIfRestored(scope);
      await replayErasureLog(scope);
    },
    claim: claimDue,
    probe: (stop, options) => probeMail(context, stop, options),
    needsCheck: (email) => email.kind !== 'notification',
    cancelUnwanted: cancelAndLog,
    tags: ({ message }) => (message === null ? {} : { receipt: message.receipt }),
    compose: (scope, email) => composeEmail(context, scope, email),
    send: (mail, options) => mailer.send(mail, options),
    schedule: (email, outcome) => decideNextStep(email, outcome, Math.random()),
    pause: pauseBroken,
    close: async () => await mailer[Symbol.asyncDispose](),
  };
}

async function cancelAndLog(scope: Scope, emails: readonly ClaimedEmail[]): Promise<ReadonlySet<string>> {
  const cancelled = await cancelUnwanted(scope, emails);
  for (const { id, kind, message } of emails) {
    const reason = cancelled.get(id);
    if (reason === undefined) continue;
    scope.log.info({ email: id, receipt: message?.receipt, kind, reason }, `email cancelled: ${cancelReasons[reason]}`);
  }
  return new Set(cancelled.keys());
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
