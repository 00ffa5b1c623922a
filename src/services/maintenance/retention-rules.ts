import type { EmailState } from '../../entities/index.ts';
import { heldSince, isTold } from '../delivery/held-summary.ts';
import { idsOf } from '../paging.ts';

export const dayMs = 24 * 60 * 60 * 1000;

/** Days a held message is kept, unless its form keeps messages for a shorter time. Counted from a hold by hand. */
export const heldDays = 90;

/** SQL condition: it has been held longer than that. */
export const heldTooLong = `status = 'held' and ${heldSince} < now() - interval '${heldDays} days'`;

/** Days that the network a message was posted from is kept. */
export const clientAddressDays = 30;

/** SQL condition: a message arrived longer ago than that. */
export function receivedBefore(days: number): string {
  return `received_at < now() - interval '${days} days'`;
}

/** An upper bound for the ids of messages that old, so that the index on ids serves a condition on time. */
export function idBefore(days: number, now: Date): string {
  return idsOf({ until: new Date(now.getTime() - days * dayMs) })?.$lt ?? '';
}

/** SQL condition: a message has a notification in this state. */
export function hasNotification(state: EmailState): string {
  return `exists (
      select from emails as notification where notification.message_id = messages.id
        and notification.kind = 'notification' and notification.state = '${state}')`;
}

/**
 * SQL condition: a message outlives its time. Either mail about it is still queued, or nobody was told about it: all its
 * notifications failed, or it is held together with them and `isTold` is false. Sending the failed mail, or cancelling
 * it, lets the message go.
 */
export const waitsForMail = `(
  exists (select from emails where emails.message_id = messages.id
    -- A state that only a later release knows may mean that the mail is still to be sent.
    and emails.state not in ('sent', 'failed', 'cancelled', 'held'))
  or (
    (${hasNotification('failed')} or (status = 'held' and ${hasNotification('held')} and not ${isTold}))
    and not ${hasNotification('sent')}
  )
)`;
