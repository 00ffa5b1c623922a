import { domainOf, readAddress } from '../address.ts';
import type { Config } from '../config/config.ts';
import { Problem } from '../problems.ts';
import { newId, newIdSql } from './ids.ts';

/** The NOTIFY channel that tells workers that an email was queued. */
export const emailChannel = 'ruffinweb_emails';

/** The NOTIFY channel that tells workers that a hook's delivery was queued. */
export const hookChannel = 'ruffinweb_hooks';

/**
 * SQL: stores a delivery for each event and each hook that wants it, and wakes the workers at the commit. Hooks are locked
 * against their removal, so that an event never fails because its hook is gone a moment later.
 *
 * @param events SQL: rows of event, form id, message id and email id. An event without a form is for hooks of every form.
 */
export function insertDeliveries(events: string): string {
  return `
  insert into hook_deliveries (id, hook_id, event, state, message_id, email_id, due_at, created_at)
  select ${newIdSql}, hooks.id, happened.event, 'queued', happened.message_id, happened.email_id, now(), now()
  from (${events}) as happened (event, form_id, message_id, email_id)
    join hooks on hooks.state in ('active', 'paused') and happened.event = any(hooks.events)
      and (hooks.form_ids is null or happened.form_id = any(hooks.form_ids))
  for key share of hooks
  returning pg_notify('${hookChannel}', '')`;
}

/** SQL: the events of emails that have failed. @param emails SQL: a table or query with their `id` and `message_id`. */
export function failureEvents(emails: string): string {
  return `select 'email.failed', (select form_id from messages where messages.id = message_id), message_id, id
    from ${emails} as failed`;
}

/** The ids of a new email: in our database, and at mail servers. */
export function newEmailIdentity(config: Pick<Config, 'mailFrom'>): { id: string; internetMessageId: string } {
  const id = newId();
  return { id, internetMessageId: `<${id}@${domainOf(config.mailFrom.address)}>` };
}

/** Reads an owner's address; one on this machine is allowed. @throws {Problem} argument-invalid */
export function readRecipient(text: string): string {
  const address = readAddress(text.trim(), { localDomain: true });
  if (address === undefined) throw new Problem('argument-invalid', `"${text}" is not an e-mail address`);
  return address;
}
