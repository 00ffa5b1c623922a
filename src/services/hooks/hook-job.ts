import { runStatement, type Statement } from '../../database/statement.ts';
import { type Hook, HookDelivery } from '../../entities/index.ts';
import type { HookRequest } from '../../hooks/hook-sender.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { hookEvents } from '../../words.ts';
import { type Job, type JobTable, type LeasedRow, leaseMs, type Settlement } from '../delivery/job.ts';
import { pauseIfRestored } from '../delivery/pause/pause-after-restore.ts';
import { outcomes, settleRows, settleSql } from '../delivery/settle-emails.ts';
import type { Scope } from '../scope.ts';
import { replayErasureLog } from '../senders/replay-erasures.ts';
import { composeDelivery } from './compose-delivery.ts';
import { decideDelivery } from './delivery-schedule.ts';

const table: JobTable = { rows: 'hook_deliveries', attempts: 'hook_attempts', reference: 'delivery_id' };

/**
 * As with emails (see `claim-due.ts`), but the delivery of a dead worker is always made again: twice is better than never,
 * and its id is the same. While a hook fails, one delivery at a time shows whether it answers again.
 */
const claimStatement: Statement = {
  name: 'claim_deliveries_1',
  text: `
with due as materialized (
  select id, lease_token is not null as is_lost from hook_deliveries
  where hook_id = $1::uuid and state = 'queued' and due_at <= now()
    -- A later release may queue events that this one cannot compose.
    and event = any($4::text[])
  order by due_at
  -- With 0, PostgreSQL reads no row, however many wait.
  limit (select case
    when state <> 'active' or quiet_until > now() or exists (select from mail_queue where cause = 'restored') then 0
    when failing_since is null then $2::int
    when exists (
      select from hook_deliveries where hook_id = $1 and state = 'queued' and lease_token is not null and due_at > now()) then 0
    else 1 end from hooks where id = $1)
  for update skip locked
),
lost as (
  insert into hook_attempts (id, delivery_id, outcome, finished_at)
  select gen_random_uuid(), id, 'unknown', now() from due where is_lost
)
update hook_deliveries set lease_token = $3::uuid, due_at = now() + ${leaseMs} * interval '1 millisecond', tries = tries + 1
where id = any(array(select id from due))
returning id, event as kind, tries, (select url from hooks where id = $1) as url`,
};

/** With the hook's encrypted address at the claim. */
type ClaimedDelivery = LeasedRow & { readonly url: Buffer };

const [hookId, rowId, result, askedMs, url] = [0, 1, 2, 3, 4].map((it) => `$${outcomes.next + it}`);

/** Also writes down how the hook is, by one of the outcomes; not if it has another address by now. */
const settleStatement: Statement = {
  name: 'settle_deliveries_1',
  text: settleSql(
    table,
    `,
hook as (
  update hooks set
    state = case ${result}::text when 'refused' then 'gone' else state end,
    failing_since = case when ${result} in ('later', 'away') then coalesce(failing_since, now()) end,
    quiet_until = case when ${result} in ('later', 'away') then now() + greatest(${askedMs} * interval '1 millisecond',
      least(interval '60 seconds', now() - coalesce(failing_since, now()) + interval '5 seconds')) end
  where id = ${hookId}::uuid and url = ${url}::bytea and exists (select from settled where id = ${rowId}::uuid)
    and (${result} <> 'accepted' or failing_since is not null or quiet_until is not null)
)`,
  ),
};

/** What a worker needs to deliver to one hook. */
export function createHookJob(
  { hookSender }: Pick<MailingContext, 'hookSender'>,
  hook: Pick<Hook, 'id' | 'name'>,
): Job<ClaimedDelivery, HookRequest> {
  return {
    noun: 'delivery',
    table,
    lanes: 2,
    async prepare(scope) {
      await pauseIfRestored(scope);
      await replayErasureLog(scope);
    },
    async claim(scope, limit, leaseToken) {
      const values = [hook.id, limit, leaseToken, [...hookEvents]];
      const rows = await runStatement<Omit<ClaimedDelivery, 'leaseToken'>>(scope.em, claimStatement, values);
      return { rows: rows.map((row) => ({ ...row, leaseToken })), givenUp: [] };
    },
    tags: () => ({ hook: hook.name }),
    async compose(scope, { id }) {
      const populate = ['hook', 'message.form', 'message.sender', 'email'] as const;
      const delivery = await scope.em.findOneOrFail(HookDelivery, { id }, { populate });
      return composeDelivery(scope, delivery.hook, delivery);
    },
    send: (request, { signal }) => hookSender.send(request, signal && { signal }),
    schedule: ({ tries }, outcome) => decideDelivery(tries, outcome, Math.random()),
    settle: (scope, settlements: readonly Settlement<ClaimedDelivery>[]) => settleDeliveries(scope, hook, settlements),
    endsTurn: (outcome) => outcome !== 'accepted',
  };
}

async function settleDeliveries(
  scope: Scope,
  { id, name }: Pick<Hook, 'id' | 'name'>,
  settlements: readonly Settlement<ClaimedDelivery>[],
) {
  // An attempt that a stop ended, or without a request, says nothing about the hook.
  const last = settlements.findLast(({ next, outcome }) => next.counts && (outcome.result !== 'later' || outcome.code));
  const { row, outcome } = last ?? {};
  const more = [id, row?.id ?? null, outcome?.result ?? null, outcome?.retryAfterMs ?? 0, row?.url ?? null];
  const settled = await settleRows(scope, table, settleStatement, settlements, more);
  if (outcome?.result === 'refused' && settled.has(row?.id ?? '')) {
    scope.log.error({ hook: name }, 'the hook is gone: it answered 410, so nothing is sent to it until it is resumed');
  }
  return settled;
}
