import { runStatement, type Statement } from '../../database/statement.ts';
import type { Scope } from '../scope.ts';
import { type JobTable, type LeasedRow, leaseMs } from './job.ts';

/**
 * How long a mail server may take to reply before the lease is renewed for the first time. Together with the wait for a lane
 * (2 s) and the deadline for handing the mail over (60 s), this must end well before the lease (90 s).
 */
export const defaultRenewAfterMs = 10_000;

/** Only while the row still has this worker's token, and by the database's clock. */
const renewStatement = ({ rows }: JobTable): Statement => ({
  name: `renew_${rows}_1`,
  text: `
update ${rows} set due_at = now() + ${leaseMs} * interval '1 millisecond'
where id = $1::uuid and lease_token = $2::uuid and state = 'queued'
returning id`,
});

/**
 * Renews a lease repeatedly, so that the mail server's reply may take longer than a lease lasts.
 *
 * @param afterMs delay before the first renewal and after a failed one. Successful renewals repeat every 3 × afterMs.
 * @param onLost another worker has the row now.
 * @returns a function that stops it.
 */
export function startRenewingLease(
  scope: Scope,
  table: JobTable,
  row: Pick<LeasedRow, 'id' | 'leaseToken'>,
  afterMs: number,
  onLost: () => void,
): () => void {
  let hasEnded = false;
  let timer = setTimeout(renew, afterMs);

  async function renew(): Promise<void> {
    let waitMs = 3 * afterMs;
    try {
      const rows = await runStatement(scope.em, renewStatement(table), [row.id, row.leaseToken]);
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
