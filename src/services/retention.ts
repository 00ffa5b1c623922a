import type { Config } from '../config.ts';
import type { EmailState, Form } from '../entities/index.ts';
import type { ToldTimes } from './told-of-held.ts';

/** Days that a held message is kept, unless its form keeps messages less long; held by hand, from then on. */
export const heldDays = 90;

/** The SQL of when a held message began to be held. */
export const heldSince = 'coalesce(messages.held_at, messages.received_at)';

/** Days that it is kept where a message was posted from. */
export const clientAddressDays = 30;

/** Days that the messages of a form are kept; 0 for ever. */
export function retentionOf(config: Pick<Config, 'retentionDays'>, form: Pick<Form, 'retentionDays'>): number {
  return form.retentionDays ?? config.retentionDays;
}

/**
 * The SQL condition under which a message outlives its time: mail about it is still to be sent, or nobody was ever told
 * of it. That is so where every notification has failed, and where it is held, its notifications with it, and no
 * summary told an owner. Sending what failed, or cancelling it, lets the message go.
 */
export function waitsForMail(told: ToldTimes): string {
  return `(
  exists (select from emails where emails.message_id = messages.id and emails.state = 'queued')
  or (
    (${hasNotification('failed')} or (status = 'held' and ${hasNotification('held')} and not ${isAmong(told)}))
    and not ${hasNotification('sent')}
  )
)`;
}

function hasNotification(state: EmailState): string {
  return `exists (
      select from emails where emails.message_id = messages.id and kind = 'notification' and state = '${state}')`;
}

function isAmong(told: ToldTimes): string {
  if (told.size === 0) return 'false';
  const rows = [...told].map(([formId, times]) => `('${formId}'::uuid, '${times}'::tstzmultirange)`).join(', ');
  return `exists (
      select from (values ${rows}) as told (form_id, times) where told.form_id = messages.form_id and times @> ${heldSince})`;
}
