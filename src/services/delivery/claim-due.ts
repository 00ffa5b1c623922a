import { randomUUID } from 'node:crypto';
import { msSql, runStatement, type Statement } from '../../database/statement.ts';
import type { Form } from '../../entities/index.ts';
import { atMostOnceKinds, type EmailKind, emailKinds } from '../../words.ts';
import { failureEvents, insertDeliveries } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { type Claim, type LeasedRow, leaseMs } from './job.ts';
import { maxTries } from './retry-schedule.ts';

/** An email with a lease, and everything that its mail is made from. */
export interface ClaimedEmail extends LeasedRow {
  kind: EmailKind;
  internetMessageId: string;
  createdAt: Date;
  /** When its retry schedule began. */
  scheduledAt: Date;
  /** The owner's address; null for an auto-reply or a reply, which go to the sender. */
  recipient: string | null;
  /** The digest that it is, or null. */
  digestId: string | null;
  /** What an operator wrote, encrypted; null for all mail but replies. */
  content: Buffer | null;
  /** Null for a summary, which is about many messages. */
  message: ClaimedMessage | null;
}

export interface ClaimedMessage {
  id: string;
  receipt: string;
  content: Buffer;
  receivedAt: Date;
  /** Null for a message without an address. */
  sender: { id: string; address: Buffer } | null;
  form: Pick<Form, 'slug' | 'name' | 'recipients' | 'fields' | 'emailField' | 'routes' | 'language' | 'words'>;
}

/**
 * The rows are locked only while this statement runs. After that, the lease keeps other workers away: `due_at` is moved to
 * its end, so the email of a dead worker becomes due again. Only the database's clock counts, since workers' clocks differ.
 *
 * If a due email still has a lease token, its worker died. That attempt is recorded as unknown; an email that is sent at most
 * once, or has no attempts left, fails. But one with its unsent token was not handed over, so that attempt does not count.
 * While the queue is paused, nothing is due.
 */
const isAtMostOnce = `emails.kind in (${atMostOnceKinds.map((it) => `'${it}'`).join(', ')})`;

const claimStatement: Statement = {
  name: 'claim_due_10',
  text: `
with due as materialized (
  select id, kind, tries, is_lost, is_lost and (${isAtMostOnce} or tries >= ${maxTries}) as hopeless,
    lease_token is not null and not is_lost as is_unsent
  from emails,
    lateral (select lease_token is not null and unsent_token is distinct from lease_token as is_lost) as lease
  where state = 'queued' and due_at <= now()
    -- A later release may queue kinds that this one cannot compose. Its own workers send them.
    and kind = any($3::text[])
    and not exists (select from mail_queue where paused_at is not null)
  order by due_at
  limit $1::int
  for update of emails skip locked
),
lost as (
  insert into attempts (id, email_id, outcome, finished_at)
  select gen_random_uuid(), id, 'unknown', now() from due where is_lost
),
given_up as (
  update emails set state = 'failed', failure = 'outcome-unknown', lease_token = null
  from due where emails.id = due.id and due.hopeless
  returning emails.id, emails.message_id
),
hooked as (${insertDeliveries(failureEvents('given_up'))}
),
claimed as (
  update emails set lease_token = $2::uuid, due_at = now() + ${leaseMs} * interval '1 millisecond',
    tries = emails.tries + case when due.is_unsent then 0 else 1 end,
    unsent_token = case when ${isAtMostOnce} then $2::uuid end
  from due where emails.id = due.id and not due.hopeless
  returning emails.*
)
select claimed.id, claimed.kind, claimed.tries, claimed.internet_message_id, claimed.recipient, claimed.digest_id,
  claimed.content as written,
  ${msSql('claimed.created_at')} as created_ms,
  ${msSql('coalesce(claimed.requeued_at, claimed.created_at)')} as scheduled_ms,
  messages.id as message_id, messages.receipt, messages.content,
  ${msSql('messages.received_at')} as received_ms,
  senders.id as sender_id, senders.address, forms.slug, forms.name as form_name, forms.recipients as form_recipients,
  forms.fields, forms.email_field, forms.routes, forms.language, forms.words
from claimed
  left join messages on messages.id = claimed.message_id
  left join senders on senders.id = messages.sender_id
  left join forms on forms.id = messages.form_id
union all
select id, ${Array(22).fill('null').join(', ')} from given_up`,
};

interface ClaimRow {
  id: string;
  kind: EmailKind | null;
  tries: number;
  internet_message_id: string;
  recipient: string | null;
  digest_id: string | null;
  written: Buffer | null;
  created_ms: number;
  scheduled_ms: number;
  message_id: string | null;
  // These are set if there is a message.
  receipt: string;
  content: Buffer;
  received_ms: number;
  sender_id: string | null;
  address: Buffer | null;
  slug: string;
  form_name: string | null;
  form_recipients: string[] | null;
  fields: Form['fields'];
  email_field: string | null;
  routes: Form['routes'];
  language: Form['language'];
  words: Form['words'];
}

/**
 * Claims up to `limit` due emails. Those that have been due for the longest time come first.
 *
 * @param leaseToken a new one. The worker that made it can return the emails even if the response is lost.
 */
export async function claimDue(
  scope: Scope,
  limit: number,
  leaseToken: string = randomUUID(),
): Promise<Claim<ClaimedEmail>> {
  const rows = await runStatement<ClaimRow>(scope.em, claimStatement, [limit, leaseToken, [...emailKinds]]);
  const givenUp = rows.filter((row) => row.kind === null).map((row) => row.id);
  for (const id of givenUp) {
    scope.log.error({ email: id }, 'email failed: its worker was lost, and nobody knows whether it was sent');
  }
  return { rows: rows.flatMap((row) => (row.kind === null ? [] : [describe(row, row.kind, leaseToken)])), givenUp };
}

function describe(row: ClaimRow, kind: EmailKind, leaseToken: string): ClaimedEmail {
  return {
    id: row.id,
    kind,
    leaseToken,
    tries: row.tries,
    internetMessageId: row.internet_message_id,
    createdAt: new Date(row.created_ms),
    scheduledAt: new Date(row.scheduled_ms),
    recipient: row.recipient,
    digestId: row.digest_id,
    content: row.written,
    message:
      row.message_id === null
        ? null
        : {
            id: row.message_id,
            receipt: row.receipt,
            content: row.content,
            receivedAt: new Date(row.received_ms),
            sender: row.sender_id === null || row.address === null ? null : { id: row.sender_id, address: row.address },
            form: {
              ...{ slug: row.slug, name: row.form_name, recipients: row.form_recipients, fields: row.fields },
              ...{ emailField: row.email_field, routes: row.routes, language: row.language, words: row.words },
            },
          },
  };
}
