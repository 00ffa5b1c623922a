import type { MailingContext } from '../../mailing-context.ts';
import type { EmailJob } from '../delivery/attempt.ts';
import type { ClaimedEmail } from '../delivery/claim-due.ts';
import type { Scope } from '../scope.ts';
import { replayErasureLog } from '../senders/replay-erasures.ts';
import { cancelReasons, cancelUnwanted } from './cancel-unwanted.ts';
import { composeEmail } from './compose-email.ts';

/** What a worker needs to send emails. */
export function createEmailJob(context: MailingContext): EmailJob {
  return {
    replayErasures: replayErasureLog,
    cancelUnwanted: cancelAndLog,
    compose: (scope, email) => composeEmail(context, scope, email),
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
