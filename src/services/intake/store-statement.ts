import { msSql, type Statement } from '../../database/statement.ts';
import { emailChannel } from '../outbox.ts';
import { notices, posts } from './store-rows.ts';

/** How many of the newest messages with the same text are compared. */
const newestOfText = 1000;

/**
 * Finds a third other sender of the same long text within a day. Three lookups follow each other, and each ends at its first
 * match, so a text from thousands of senders costs three rows.
 */
const thirdOtherSender = `
    select third.sender_id as third_sender_id
    from (${otherSender('found.id')}) as first
      cross join lateral (${otherSender('found.id, first.sender_id')}) as second
      cross join lateral (${otherSender('found.id, first.sender_id, second.sender_id')}) as third`;

function otherSender(than: string): string {
  return `
      select sender_id from (
        select sender_id from messages
        where messages.text_index = written.text_index and received_at > now() - interval '1 day'
        order by received_at desc limit ${newestOfText}
      ) as newest where sender_id not in (${than})
      limit 1`;
}

/**
 * Stores everything about a list of posts, or nothing. Each step has only the columns that decide about a post; the others
 * are joined where they are written, because every column in between makes the statement slower.
 */
export const storeStatement: Statement = {
  name: 'store_messages_10',
  text: `
-- How long this statement waits for a lock: as long as its connection does, unless $1 says otherwise.
with patience as materialized (
  select set_config('lock_timeout', coalesce($1::text, current_setting('lock_timeout')), true) as value
),
-- Waits for other statements about the same addresses, keys, texts or captchas. We cannot choose the order in which
-- PostgreSQL runs the steps below, so without these locks they would deadlock. Only reply_hours has locks beyond these;
-- its rows are locked after all others, in order.
locked as materialized (
  select count(*) from patience cross join lateral (
    select pg_advisory_xact_lock(key) from unnest($2::bigint[]) as key where value is not null
  ) as taken
),
-- The forms as they are now: a row lock finds the newest version of a row, a plain read would find the version from the
-- start of the statement. Nobody can change them until the commit. Changing a form takes no other lock, so this wait ends.
form_versions as materialized (
  select forms.id, forms.xmin::text as version from locked cross join forms
  where forms.id = any(${posts.array('form_id')})
  order by forms.id for share of forms
),
-- The posts in the given order. If a form changed after its post was judged, nothing more happens to that post.
posted as materialized (
  select given.*, form_versions.id is not null as is_current
  from locked cross join ${posts.as('given', 'form_id', 'form_version', 'message_id', 'key', 'fingerprint', 'captcha_id', 'captcha_expires_ms')}
    left join form_versions on form_versions.id = given.form_id and version = given.form_version
),
captcha_first as (
  select distinct on (captcha_id) n, captcha_id, captcha_expires_ms from posted
  where captcha_id is not null and is_current
  order by captcha_id, n
),
-- Solved captchas that nobody has used before.
captcha_won as (
  insert into used_captchas (id, expires_at)
  select captcha_id, to_timestamp(captcha_expires_ms / 1000) from captcha_first
  on conflict (id) do nothing
  returning id
),
passed as materialized (
  select n, form_id, message_id, key, fingerprint from posted
  where is_current
    and (captcha_id is null or n in (select n from captcha_first join captcha_won on captcha_won.id = captcha_id))
),
-- Idempotency keys that are new, or were last used more than a day ago.
key_won as (
  insert into message_keys (form_id, key, fingerprint, message_id, stored_at)
  select distinct on (form_id, key) form_id, key, fingerprint, message_id, now() from passed
  where key is not null
  order by form_id, key, n
  on conflict (form_id, key) do update set
    fingerprint = excluded.fingerprint, message_id = excluded.message_id, stored_at = excluded.stored_at
  where message_keys.stored_at <= excluded.stored_at - interval '24 hours'
  returning message_id
),
-- Posts that do not repeat one of the last ten minutes. Only a post without a key is refused for that.
window_won as (
  insert into recent_posts (fingerprint, message_id, stored_at)
  select distinct on (fingerprint) fingerprint, message_id, now() from passed
  where key is null or message_id in (select message_id from key_won)
  order by fingerprint, key is null, n
  on conflict (fingerprint) do update set message_id = excluded.message_id, stored_at = excluded.stored_at
  where recent_posts.stored_at <= excluded.stored_at - interval '10 minutes'
  returning message_id
),
-- The posts to store. The others leave no trace; find-repeats.ts finds their answers.
won as materialized (
  select n, form_id, message_id from passed
  where message_id in (select message_id from key_won)
    or (key is null and message_id in (select message_id from window_won))
),
-- The sender of each address, new or known. A known sender keeps its encrypted columns, since they are bound to its id.
found as (
  insert into senders (id, address_index, address, name, message_count, first_message_at, last_message_at)
  select distinct on (address_index)
    sender_id, address_index, address, name, count(*) over (partition by address_index), now(), now()
  from won join ${posts.as('writer', 'sender_id', 'address_index', 'address', 'name')} using (n)
  order by address_index, n
  on conflict (address_index) do update set
    message_count = senders.message_count + excluded.message_count,
    last_message_at = greatest(senders.last_message_at, excluded.last_message_at)
  returning id, address_index, blocked_at
),
-- Holds posts of blocked senders, and texts that many senders sent.
judged as materialized (
  select n, form_id, message_id, found.id as found_id, receipt, content, text_index, client_address,
    reply_index, reply_id, reply_internet_message_id,
    case when blocked_at is not null or third_sender_id is not null then 'held' else status end as status,
    string_to_array(reasons, ',')
      || case when blocked_at is not null then array['sender-blocked'] else '{}' end
      || case when third_sender_id is not null then array['same-text-from-many'] else '{}' end as reasons
  from won
    join ${posts.as('written', 'address_index', 'receipt', 'status', 'reasons', 'content', 'text_index', 'client_address', 'reply_index', 'reply_id', 'reply_internet_message_id')} using (n)
    join found using (address_index)
    left join lateral (${thirdOtherSender}) as others on true
),
stored as (
  insert into messages (id, receipt, form_id, sender_id, status, reasons, content, text_index, client_address, received_at)
  select message_id, receipt, form_id, found_id, status, reasons, content, text_index, client_address, now()
  from judged
  returning id, received_at
),
-- The first accepted post of each mailbox whose owner has not opted out, if the mailbox got no auto-reply for a day and
-- the form has some left this hour (as of the start of the statement).
reply_wanted as (
  select distinct on (reply_index) n, form_id, reply_index from judged
  where reply_index is not null and status = 'accepted'
    and not exists (select from suppressions where suppressions.address_index = reply_index)
    and not exists (select from reply_days
      where reply_days.address_index = reply_index and replied_at > now() - interval '1 day')
    and not exists (
      select from reply_hours
      where reply_hours.form_id = judged.form_id and hour = date_trunc('hour', now(), 'UTC') and replies >= $3::int
    )
  order by reply_index, n
),
reply_asked as (
  select n, form_id, reply_index,
    row_number() over (partition by form_id order by n) as number,
    count(*) over (partition by form_id) as asked
  from reply_wanted
),
-- Counts the auto-replies of each form, unless the hour is full.
hour_used as (
  insert into reply_hours (form_id, hour, replies)
  select form_id, date_trunc('hour', now(), 'UTC'), count(*) from reply_asked group by form_id
  order by form_id
  on conflict (form_id, hour) do update set replies = reply_hours.replies + excluded.replies
  where reply_hours.replies < $3::int
  returning form_id, replies
),
-- The auto-replies within the limit. A mailbox beyond it is not marked in reply_days.
hour_free as (
  select n, reply_index from reply_asked join hour_used using (form_id)
  where replies - asked + number <= $3::int
),
-- Marks mailboxes that got no auto-reply for a day. This also sees what other statements did meanwhile; then the hour counts
-- one reply too many.
day_free as (
  insert into reply_days (address_index, replied_at)
  select reply_index, now() from hour_free
  on conflict (address_index) do update set replied_at = excluded.replied_at
  where reply_days.replied_at <= excluded.replied_at - interval '1 day'
  returning address_index
),
replies as (
  select n from hour_free join day_free on day_free.address_index = hour_free.reply_index
),
queued as (
  insert into emails (id, kind, state, message_id, recipient, sender_id, due_at, internet_message_id, created_at)
  select notice.id, 'notification', case status when 'held' then 'held' else 'queued' end,
    message_id, notice.recipient, null, now(), notice.internet_message_id, now()
  from ${notices.as('notice')} join judged on judged.n = notice.post
  union all
  select reply_id, 'auto-reply', 'queued', message_id, null, found_id, now(), reply_internet_message_id, now()
  from replies join judged using (n)
  returning state
),
-- Wakes the workers at the commit.
woken as (
  select pg_notify('${emailChannel}', '') from (select 1 from queued where state = 'queued' limit 1) as any_queued
)
select posted.n::int as n, is_current, ${msSql('stored.received_at')} as received_ms
from posted left join stored on stored.id = posted.message_id left join woken on true`,
};
