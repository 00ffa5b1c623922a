import { columns } from '../../database/columns.ts';
import { runStatement, type Statement } from '../../database/statement.ts';
import type { FailureReason } from '../../words.ts';
import type { ClaimedEmail } from '../delivery/claim-due.ts';
import { isAnyHeld } from '../delivery/summarise-held.ts';
import type { Scope } from '../scope.ts';
import { openOrNull, openSenderAddress } from '../sealed-values.ts';
import { mailboxIndexes } from '../senders/suppressions.ts';

/** Why an email is cancelled when it is due, for the log. */
export const cancelReasons = {
  unwanted: 'its recipient wants none',
  'too-late': 'it waited for more than a day',
  'nothing-held': 'the messages it would list are no longer held',
} as const satisfies Partial<Record<FailureReason, string>>;

export type CancelReason = keyof typeof cancelReasons;

/**
 * How long an auto-reply may wait: as long as a mailbox has to wait for its next one (see `store-statement.ts`). So after
 * an outage each mailbox gets at most one, and none arrives days after the message.
 */
export const replyLastsHours = 24;

const checked = columns({
  email_id: 'uuid',
  lease_token: 'uuid',
  address_index: 'bytea',
  former_index: 'bytea',
  is_empty: 'bool',
});

/** As in `settle-emails.ts`, only the worker that holds the lease changes anything. */
const cancelStatement: Statement = {
  name: 'cancel_unwanted_6',
  text: `
with asked as (
  select given.*,
    exists (select from senders where senders.id = emails.sender_id and blocked_at is not null)
      or exists (select from suppressions where suppressions.address_index in (given.address_index, former_index)) as unwanted,
    kind = 'auto-reply'
      and coalesce(requeued_at, created_at) <= now() - interval '${replyLastsHours} hours' as late
  from ${checked.as('given')}
    join emails on emails.id = given.email_id
)
update emails set state = 'cancelled', lease_token = null, tries = tries - 1,
  failure = case when is_empty then 'nothing-held' when unwanted then 'unwanted' else 'too-late' end
from asked
where emails.id = asked.email_id and emails.lease_token = asked.lease_token and (is_empty or unwanted or late)
returning emails.id, emails.failure as reason`,
};

/** Whether an email may have become unwanted since it was queued. A reply does not: a person decided to write it. */
export function mayBeUnwanted({ kind }: Pick<ClaimedEmail, 'kind'>): boolean {
  return kind === 'auto-reply' || kind === 'held-summary';
}

/**
 * Cancels claimed emails that nobody wants any more: auto-replies whose sender was blocked or opted out since the message
 * was stored, or that waited for too long, and summaries whose messages were all released or deleted.
 *
 * @returns the ids of the cancelled emails, and why.
 */
export async function cancelUnwanted(
  scope: Scope,
  emails: readonly ClaimedEmail[],
): Promise<Map<string, CancelReason>> {
  const rows = [];
  for (const email of emails) {
    if (!mayBeUnwanted(email)) continue;
    rows.push({
      email_id: email.id,
      lease_token: email.leaseToken,
      ...indexesOfSender(scope, email),
      // A fork: a worker's own entity manager lives as long as the worker, and would remember old forms.
      is_empty: email.kind === 'held-summary' && !(await isAnyHeld({ ...scope, em: scope.em.fork() }, email)),
    });
  }
  if (rows.length === 0) return new Map();
  const cancelled = await runStatement<{ id: string; reason: CancelReason }>(
    scope.em,
    cancelStatement,
    checked.values(rows),
  );
  return new Map(cancelled.map((row) => [row.id, row.reason]));
}

/** Null also if the key of the address is missing. Such an auto-reply cannot be composed, and fails or becomes too late. */
function indexesOfSender({ keyring }: Scope, { message }: ClaimedEmail) {
  const sender = message?.sender;
  const address = sender == null ? null : openOrNull(() => openSenderAddress(keyring, sender));
  const [mailbox = null, former = null] = address === null ? [] : mailboxIndexes(keyring, address);
  return { address_index: mailbox, former_index: former };
}
