import { runStatement, type Statement } from '../../database/statement.ts';
import type { FailureReason } from '../../entities/index.ts';
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

/** Only the worker that holds the lease changes anything, as in `settle-emails.ts`; so below. */
const cancelStatement: Statement = {
  name: 'cancel_unwanted_3',
  text: `
with asked as (
  select given.*,
    exists (select from senders where senders.id = emails.sender_id and blocked_at is not null)
      or exists (select from suppressions where suppressions.address_index = given.address_index) as unwanted,
    coalesce(emails.requeued_at, emails.created_at) <= now() - interval '${replyLastsHours} hours' as late
  from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as given (email_id, lease_token, address_index)
    join emails on emails.id = given.email_id
)
update emails set state = 'cancelled', lease_token = null, tries = tries - 1,
  failure = case when unwanted then 'unwanted' else 'too-late' end
from asked
where emails.id = asked.email_id and emails.lease_token = asked.lease_token and (unwanted or late)
returning emails.id, emails.failure as reason`,
};

const cancelSummariesStatement: Statement = {
  name: 'cancel_summaries_1',
  text: `
update emails set state = 'cancelled', lease_token = null, tries = tries - 1, failure = 'nothing-held'
from unnest($1::uuid[], $2::uuid[]) as given (email_id, lease_token)
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
  return await runStatement<CancelledRow>(scope.em, cancelSummariesStatement, [
    empty.map((it) => it.id),
    empty.map((it) => it.leaseToken),
  ]);
}

async function cancelReplies(scope: Scope, emails: readonly ClaimedEmail[]): Promise<CancelledRow[]> {
  const asked = emails.flatMap((email) => {
    const sender = email.message?.sender;
    if (email.kind !== 'auto-reply' || sender == null) return [];
    // Without its key nobody knows where it would go: it is tried in vain, and for no more than a day either.
    const address = openOrNull(() => openSenderAddress(scope.keyring, sender));
    return [{ email, index: address === null ? null : scope.keyring.addressIndex(mailboxForLimits(address)) }];
  });
  if (asked.length === 0) return [];
  return await runStatement<CancelledRow>(scope.em, cancelStatement, [
    asked.map((it) => it.email.id),
    asked.map((it) => it.email.leaseToken),
    asked.map((it) => it.index),
  ]);
}
