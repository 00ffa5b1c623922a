import { columns } from '../../database/columns.ts';
import { runStatement, type Statement } from '../../database/statement.ts';
import type { FailureReason } from '../../words.ts';
import type { ClaimedEmail } from '../delivery/claim-due.ts';
import { isAnyHeld } from '../delivery/held-summary.ts';
import type { Scope } from '../scope.ts';
import { openOrNull, openSenderAddress } from '../sealed-values.ts';
import { mailboxForLimits } from '../senders/reply-rules.ts';

/** Why an email is cancelled when its turn comes, for the log. */
export const cancelReasons = {
  unwanted: 'its recipient wants none',
  'too-late': 'it waited for more than a day',
  'nothing-held': 'the messages it would list are no longer held',
} as const satisfies Partial<Record<FailureReason, string>>;

export type CancelReason = keyof typeof cancelReasons;

/**
 * How long an auto-reply may wait. As long as one mailbox has to wait for the next one (see `store-statement.ts`): so of
 * those that an outage kept back at most one is left for each mailbox, and none comes days after what it is about.
 */
export const replyLastsHours = 24;

const replies = columns({ email_id: 'uuid', lease_token: 'uuid', address_index: 'bytea' });

/** Only the worker that holds the lease changes anything, as in `settle-emails.ts`; so below. */
const cancelStatement: Statement = {
  name: 'cancel_unwanted_4',
  text: `
with asked as (
  select given.*,
    exists (select from senders where senders.id = emails.sender_id and blocked_at is not null)
      or exists (select from suppressions where suppressions.address_index = given.address_index) as unwanted,
    coalesce(emails.requeued_at, emails.created_at) <= now() - interval '${replyLastsHours} hours' as late
  from ${replies.as('given')}
    join emails on emails.id = given.email_id
)
update emails set state = 'cancelled', lease_token = null, tries = tries - 1,
  failure = case when unwanted then 'unwanted' else 'too-late' end
from asked
where emails.id = asked.email_id and emails.lease_token = asked.lease_token and (unwanted or late)
returning emails.id, emails.failure as reason`,
};

const summaries = columns({ email_id: 'uuid', lease_token: 'uuid' });

const cancelSummariesStatement: Statement = {
  name: 'cancel_summaries_2',
  text: `
update emails set state = 'cancelled', lease_token = null, tries = tries - 1, failure = 'nothing-held'
from ${summaries.as('given')}
where emails.id = given.email_id and emails.lease_token = given.lease_token
returning emails.id, emails.failure as reason`,
};

interface CancelledRow {
  id: string;
  reason: CancelReason;
}

/**
 * Cancels, of the emails that a worker has just taken, what nobody wants by now: auto-replies whose sender was blocked or
 * asked for none after the message was stored, or that have waited so long that they would surprise; and summaries of
 * messages that were all released or deleted meanwhile.
 *
 * @returns the ids of those, and why.
 */
export async function cancelUnwanted(
  scope: Scope,
  emails: readonly ClaimedEmail[],
): Promise<Map<string, CancelReason>> {
  const cancelled = [...(await cancelReplies(scope, emails)), ...(await cancelSummaries(scope, emails))];
  return new Map(cancelled.map((row) => [row.id, row.reason]));
}

async function cancelSummaries(scope: Scope, emails: readonly ClaimedEmail[]): Promise<CancelledRow[]> {
  const empty: ClaimedEmail[] = [];
  for (const email of emails) {
    if (email.kind !== 'held-summary') continue;
    // A fork: a worker's own entity manager lives for as long as the worker, and would remember old forms.
    if (!(await isAnyHeld({ ...scope, em: scope.em.fork() }, email))) empty.push(email);
  }
  if (empty.length === 0) return [];
  const rows = empty.map((it) => ({ email_id: it.id, lease_token: it.leaseToken }));
  return await runStatement<CancelledRow>(scope.em, cancelSummariesStatement, summaries.values(rows));
}

async function cancelReplies(scope: Scope, emails: readonly ClaimedEmail[]): Promise<CancelledRow[]> {
  const asked = emails.flatMap((email) => {
    const sender = email.message?.sender;
    if (email.kind !== 'auto-reply' || sender == null) return [];
    // Without its key nobody knows where it would go: it is tried in vain, and for no more than a day either.
    const address = openOrNull(() => openSenderAddress(scope.keyring, sender));
    const index = address === null ? null : scope.keyring.addressIndex(mailboxForLimits(address));
    return [{ email_id: email.id, lease_token: email.leaseToken, address_index: index }];
  });
  if (asked.length === 0) return [];
  return await runStatement<CancelledRow>(scope.em, cancelStatement, replies.values(asked));
}
