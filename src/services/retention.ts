import type { Config } from '../config.ts';
import type { Form } from '../entities/index.ts';

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
 * The SQL condition under which a message outlives its time: mail about it is still to be sent, or every
 * notification has failed, so that nobody was ever told of it. Sending that again, or cancelling it, lets it go.
 */
export const waitsForMail = `(
  exists (select from emails where emails.message_id = messages.id and emails.state = 'queued')
  or (
    exists (select from emails where emails.message_id = messages.id and kind = 'notification' and state = 'failed')
    and not exists (select from emails where emails.message_id = messages.id and kind = 'notification' and state = 'sent')
  )
)`;
