import type { Config } from '../../config/config.ts';
import type { Form } from '../../entities/index.ts';
import type { EmailState } from '../../words.ts';
import { dayMs } from '../clock.ts';
import { heldSince } from '../delivery/held-summary.ts';
import { waitsForDigest } from '../digest.ts';
import { retentionOf } from '../forms/effective-settings.ts';
import { idsOf } from '../paging.ts';

/** Days a held message is kept, unless its form keeps messages for a shorter time. Counted from a hold by hand. */
export const heldDays = 90;

/** How many days we keep the network that a message was posted from. */
export const clientAddressDays = 30;

/**
 * SQL condition: a message arrived longer ago than that. The bound on the id lets the index on ids serve it.
 *
 * @param now the database's time.
 */
export function receivedBefore(days: number, now: Date): string {
  return `messages.id < '${idBefore(days, now)}' and received_at < now() - interval '${days} days'`;
}

/** SQL conditions: a message of one form has expired, for each form with a retention; a held message has. */
export function expiryRules(config: Pick<Config, 'retentionDays'>, forms: readonly Form[], now: Date): string[] {
  const limited = forms.map((form) => ({ id: form.id, days: retentionOf(config, form) })).filter((it) => it.days > 0);
  return [
    ...limited.map(({ id, days }) => `form_id = '${id}' and ${receivedBefore(days, now)}`),
    `status = 'held' and messages.id < '${idBefore(heldDays, now)}' and ${heldSince} < now() - interval '${heldDays} days'`,
  ];
}

function idBefore(days: number, now: Date): string {
  return idsOf({ until: new Date(now.getTime() - days * dayMs) })?.$lt ?? '';
}

/** SQL condition: a message has a notification in this state. */
function hasNotification(state: EmailState): string {
  return `exists (
      select from emails as notification where notification.message_id = messages.id
        and notification.kind = 'notification' and notification.state = '${state}')`;
}

/**
 * SQL condition: a message is kept although it has expired. Either mail about it is still queued, or nobody was notified:
 * all its notifications failed, or they are held with the message and no owner was told about it. Sending or cancelling that
 * mail lets the message go.
 */
export const waitsForMail = `(
  exists (select from emails where emails.message_id = messages.id
    -- A state that only a later release knows may mean that the mail is still to be sent.
    and emails.state not in ('sent', 'failed', 'cancelled', 'held'))
  or (
    (${hasNotification('failed')} or (status = 'held' and ${hasNotification('held')} and messages.told_at is null))
    and not ${hasNotification('sent')}
  )
  or ${waitsForDigest}
)`;
