import type { Mail } from '../../mail/mailer.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { atMostOnceKinds } from '../../words.ts';
import { type ClaimedEmail, claimDue } from '../delivery/claim-due.ts';
import { emailTable, type Job } from '../delivery/job.ts';
import { pauseIfRestored } from '../delivery/pause/pause-after-restore.ts';
import { confirmAway, pauseForServer, probeMail } from '../delivery/pause/probe-mail-server.ts';
import { decideNextStep } from '../delivery/retry-schedule.ts';
import { settleEmails } from '../delivery/settle-emails.ts';
import { closeDigests } from '../digest.ts';
import type { Scope } from '../scope.ts';
import { replayErasureLog } from '../senders/replay-erasures.ts';
import { cancelReasons, cancelUnwanted, mayBeUnwanted } from './cancel-unwanted.ts';
import { composeEmail } from './compose-email.ts';

/** How long one probe answers for every lane. */
const shareMs = 1000;

/** What a worker needs to send emails with this context's mailer. */
export function createEmailJob(context: MailingContext): Job<ClaimedEmail, Mail> {
  const { mailer } = context;
  let confirming: ReturnType<typeof confirmAway> | undefined;
  return {
    noun: 'email',
    table: emailTable,
    lanes: mailer.lanes,
    async prepare(scope) {
      await pauseIfRestored(scope);
      await replayErasureLog(scope);
    },
    claim: claimDue,
    probe: (stop, options) => probeMail(context, stop, options),
    needsCheck: mayBeUnwanted,
    isAtMostOnce: (email) => atMostOnceKinds.includes(email.kind),
    cancelUnwanted: cancelAndLog,
    tags: ({ message }) => (message === null ? {} : { receipt: message.receipt }),
    async compose(scope, email) {
      if (email.digestId !== null) await closeDigests(scope.em, [email.digestId]);
      return await composeEmail(context, scope, email);
    },
    send: (mail, options) => mailer.send(mail, options),
    schedule: (email, outcome) => decideNextStep(email, outcome, Math.random()),
    settle: settleEmails,
    endsTurn: (result) => result === 'broken',
    pause: pauseForServer,
    // Lanes that meet the outage together share one probe, also one that fails a moment later.
    confirmAway(stop) {
      confirming ??= confirmAway(context, stop).finally(() => {
        setTimeout(() => {
          confirming = undefined;
        }, shareMs).unref();
      });
      return confirming;
    },
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
