import { runStatement, type Statement } from '../../database/statement.ts';
import type { Scope } from '../scope.ts';
import { type ClaimedEmail, leaseMs } from './claim-due.ts';

/**
 * How long a mail server may think about a mail before the lease is renewed for the first time. Together with the time in
 * the hand (2 s) and the deadline of the hand-over (60 s) it must end well before the lease (90 s) does.
 */
export const renewAfterMs = 10_000;

/** Only for the worker whose token the row still bears, as in `settle-emails.ts`, and by the database's clock. */
const renewStatement: Statement = {
  name: 'renew_lease_1',
  text: `
update emails set due_at = now() + ${leaseMs} * interval '1 millisecond'
where id = $1::uuid and lease_token = $2::uuid and state = 'queued'
returning id`,
};

/**
 * From now on renews the lease of an email, again and again, so that its worker can wait for the mail server's answer for
 * longer than a lease lasts. A worker that dies meanwhile is found when the lease ends, as ever.
 *
 * @param afterMs until the first time, and where the database did not answer until the next; otherwise three times as long.
 * @param onLost another worker has the email by now.
 * @returns what ends it.
 */
export function keepLease(scope: Scope, email: ClaimedEmail, afterMs: number, onLost: () => void): () => void {
  let hasEnded = false;
  let timer = setTimeout(renew, afterMs);

  async function renew(): Promise<void> {
    let waitMs = 3 * afterMs;
    try {
      const rows = await runStatement(scope.em, renewStatement, [email.id, email.leaseToken]);
      if (hasEnded) return;
      if (rows.length === 0) return onLost();
    } catch (error) {
      if (hasEnded) return;
      scope.log.warn({ err: error }, 'the lease could not be renewed yet');
      waitMs = afterMs;
    }
    timer = setTimeout(renew, waitMs);
  }

  return () => {
    hasEnded = true;
    clearTimeout(timer);
  };
}
