import { leaseMs } from '../delivery/job.ts';
import type { Scope } from '../scope.ts';

/** Nothing in these columns is ever meant to lie ahead. Within an hour a clock may only have been adjusted. */
const tooFarAhead = `> now() + interval '1 hour'`;

/**
 * - A periodic task counts as never done.
 * - The guard's memory of posts and replies is deleted.
 * - Queued mail: no retry waits two days (24 hours and jitter). A worker may hold one of these emails now, for at most
 *   a lease, so it falls due only after that.
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
 * Resets the times that the database wrote while its clock was ahead. After the clock was corrected, whatever waits for
 * such a time to pass would wait for as long as the clock had been ahead, perhaps a year.
 */
export async function resetFutureTimes({ em }: Scope): Promise<void> {
  for (const statement of resets) await em.execute(statement);
}
