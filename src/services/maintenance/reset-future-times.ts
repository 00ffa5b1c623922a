import { leaseMs } from '../delivery/job.ts';
import type { Scope } from '../scope.ts';

/** These columns never hold a future time on purpose. Up to an hour may be an ordinary clock adjustment. */
const tooFarAhead = `> now() + interval '1 hour'`;

/**
 * - Periodic tasks run again at once.
 * - Records of recent posts and auto-replies are deleted.
 * - Mail and hook deliveries due in more than two days become due after one lease, because a worker may have them now. No
 *   retry waits that long (max 24 hours plus jitter).
 */
const resets = [
  `update duties set done_at = 'epoch' where done_at ${tooFarAhead}`,
  `update alerts set since = null, told_at = null where greatest(since, told_at) ${tooFarAhead}`,
  `delete from recent_posts where stored_at ${tooFarAhead}`,
  `delete from reply_days where replied_at ${tooFarAhead}`,
  `update mail_queue set probed_at = now() where probed_at ${tooFarAhead}`,
  `update mail_queue set paused_at = now() where paused_at ${tooFarAhead}`,
  ...['emails', 'hook_deliveries'].map(
    (table) => `update ${table} set due_at = now() + ${leaseMs} * interval '1 millisecond'
   where state = 'queued' and due_at > now() + interval '2 days'`,
  ),
  // A hook may ask us to wait for a day.
  `update hooks set quiet_until = null where quiet_until > now() + interval '2 days'`,
];

/**
 * Resets the times that the database wrote while its clock was ahead. After the clock was corrected, tasks
 * and mail would otherwise wait until that time, perhaps for a year.
 */
export async function resetFutureTimes({ em }: Scope): Promise<void> {
  for (const statement of resets) await em.execute(statement);
}
