import { leaseMs } from '../delivery/job.ts';
import type { Scope } from '../scope.ts';

/** These columns never hold a future time on purpose. Up to an hour may be an ordinary clock adjustment. */
const tooFarAhead = `> now() + interval '1 hour'`;

/**
 * - Periodic tasks run again at once.
 * - Records of recent posts and auto-replies are deleted.
 * - Mail due in more than two days becomes due after one lease, because a worker may have it now. No retry waits that long
 *   (max 24 hours plus jitter).
 */
const resets = [
  `update duties set done_at = 'epoch' where done_at ${tooFarAhead}`,
  `delete from recent_posts where stored_at ${tooFarAhead}`,
  `delete from reply_days where replied_at ${tooFarAhead}`,
  `update mail_queue set probed_at = now() where probed_at ${tooFarAhead}`,
  `update mail_queue set paused_at = now() where paused_at ${tooFarAhead}`,
  `update emails set due_at = now() + ${leaseMs} * interval '1 millisecond'
   where state = 'queued' and due_at > now() + interval '2 days'`,
];

/**
 * Resets the times that the database wrote while its clock was ahead. After the clock was corrected, tasks
 * and mail would otherwise wait until that time, perhaps for a year.
 */
export async function resetFutureTimes({ em }: Scope): Promise<void> {
  for (const statement of resets) await em.execute(statement);
}
