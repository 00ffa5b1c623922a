import type { Statement } from '../../database/statement.ts';
import { emailChannel } from '../outbox.ts';

/** The most auto-replies one form asks for in one hour of the clock. */
export const repliesPerFormAndHour = 100;

/** The rows of one text that are looked at. */
const newestOfText = 1000;

/**
 * Three other addresses sending one long text within a day are no coincidence. They are looked for one after the other,
 * each by the first row that will do: of a text that thousands sent, three rows are read, and not all of them. Nor are
 * all of one that a single address repeats a hundred thousand times: of each text only the newest rows count.
 */
const othersWithText = `
    select third.sender_id as found_last
    from (${otherWithText('found.id')}) as first
      cross join lateral (${otherWithText('found.id, first.sender_id')}) as second
      cross join lateral (${otherWithText('found.id, first.sender_id, second.sender_id')}) as third`;

function otherWithText(than: string): string {
  return `
      select sender_id from (
        select sender_id from messages
        where messages.text_index = won.text_index and received_at > now() - interval '1 day'
        order by received_at desc limit ${newestOfText}
      ) as newest where sender_id not in (${than})
      limit 1`;
}

/**
 * The statement that stores: everything about a list of messages, or nothing. Each step hangs on the one
 * before it:
 *
 *   patience       how long this statement waits for a lock; without one, as long as its connection does
 *   locked         waits for statements that touch the same addresses, keys, texts or captchas. The order in
 *                  which PostgreSQL runs the steps below is not ours to choose; without this they would deadlock.
 *                  Of what others may want as well only the rows of hours are left, and those come after them, in order
 *   form_versions  the forms as they are by now, however long the locks were waited for: a row lock follows a row to its
 *                  newest version, where reading it would see the one of the statement's beginning. Until the commit
 *                  nobody changes them. Whoever changes a form holds no other lock, so that this ends
 *   posted         the parameters as rows, in the order given, and whether the form is still the one that was judged
 *                  by; where it is not, nothing further happens to the row
 *   captcha_won    solved captchas that nobody has used before
 *   key_won        idempotency keys that stand for nothing yet, or for something older than a day
 *   window_won     posts that are not the same as one of the last ten minutes; it refuses those without a key only
 *   won            what is stored: rows whose captcha, if any, and whose key or window were won. The others leave
 *                  no trace, and `first-answers.ts` finds out what they are to be answered
 *   found          the sender of each address, new or known; a known one's sealed columns stay as first given,
 *                  since a seal is bound to its row's id
 *   known          what only the database knows against them: the sender is blocked, or many sent the same text
 *   judged         what is stored, held for that as well
 *   stored         the messages
 *   reply_wanted   the first of each mailbox that is accepted, where its owner has not asked for none and, as far as was
 *                  known when the statement began, the mailbox has had none for a day and the form's hour is not full
 *   hour_used      forms that have asked for fewer than the limit this hour, now counted up
 *   hour_free      what that allows; whom the hour turns away keeps the day
 *   day_free       mailboxes that have had no auto-reply for a day, now marked as having one; this settles what
 *                  another statement did meanwhile, which then costs the hour one reply too many
 *   replies        what both allow
 *   queued         one email per recipient
 *   woken          tells the delivery loops, at the commit
 */
export const storeStatement: Statement = {
  name: 'store_messages_9',
  text: `
with patience as materialized (
  select set_config('lock_timeout', coalesce($27::text, current_setting('lock_timeout')), true) as told
),
locked as materialized (
  select count(*) from patience cross join lateral (
    select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as key where told is not null
  ) as taken
),
form_versions as materialized (
  select forms.id, forms.xmin::text as version from locked cross join forms
  where forms.id = any($4::uuid[])
  order by forms.id for share of forms
),
posted as materialized (
  select given.*, form_versions.id is not null as is_current
  from locked cross join unnest(
    $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::bytea[], $8::bytea[],
    $9::uuid[], $10::bytea[], $11::bytea[], $12::bytea[], $13::bytea[], $14::uuid[], $15::text[],
    $21::bytea[], $22::bytea[], $23::bytea[], $24::text[], $25::float8[],
    $26::text[]
  ) with ordinality as given (
    message_id, receipt, form_id, status, reasons, content, client_address,
    sender_id, address_index, address, name, reply_index, reply_id, reply_internet_message_id,
    text_index, key, fingerprint, captcha_id, captcha_expires_ms,
    form_version, n
  )
    left join form_versions on form_versions.id = given.form_id and version = given.form_version
),
captcha_first as (
  select distinct on (captcha_id) n, captcha_id, captcha_expires_ms from posted
  where captcha_id is not null and is_current
  order by captcha_id, n
),
captcha_won as (
  insert into used_captchas (id, expires_at)
  select captcha_id, to_timestamp(captcha_expires_ms / 1000) from captcha_first
  on conflict (id) do nothing
  returning id
),
passed as (
  select * from posted where captcha_id is null and is_current
  union all
  select posted.* from posted join captcha_first using (n) join captcha_won on captcha_won.id = posted.captcha_id
),
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
window_first as (
  select distinct on (fingerprint) fingerprint, message_id from passed
  where key is null or message_id in (select message_id from key_won)
  order by fingerprint, key is null, n
),
window_won as (
  insert into recent_posts (fingerprint, message_id, stored_at)
  select fingerprint, message_id, now() from window_first
  on conflict (fingerprint) do update set message_id = excluded.message_id, stored_at = excluded.stored_at
  where recent_posts.stored_at <= excluded.stored_at - interval '10 minutes'
  returning message_id
),
won as materialized (
  select passed.* from passed
  where message_id in (select message_id from key_won)
    or (key is null and message_id in (select message_id from window_won))
),
found as (
  insert into senders (id, address_index, address, name, message_count, first_message_at, last_message_at)
  select distinct on (address_index)
    sender_id, address_index, address, name, count(*) over (partition by address_index), now(), now()
  from won
  order by address_index, n
  on conflict (address_index) do update set
    message_count = senders.message_count + excluded.message_count,
    last_message_at = greatest(senders.last_message_at, excluded.last_message_at)
  returning id, address_index, blocked_at
),
known as materialized (
  select won.*, found.id as found_id, blocked_at is not null as is_blocked, others.found_last is not null as is_from_many
  from won join found using (address_index) left join lateral (${othersWithText}) as others on true
),
judged as materialized (
  select n, message_id, receipt, form_id, found_id, content, text_index, client_address,
    reply_index, reply_id, reply_internet_message_id,
    case when is_blocked or is_from_many then 'held' else status end as status,
    array(select jsonb_array_elements_text(reasons::jsonb))
      || case when is_blocked then array['sender-blocked'] else '{}' end
      || case when is_from_many then array['same-text-from-many'] else '{}' end as reasons
  from known
),
stored as (
  insert into messages (id, receipt, form_id, sender_id, status, reasons, content, text_index, client_address, received_at)
  select message_id, receipt, form_id, found_id, status, reasons, content, text_index, client_address, now()
  from judged
  returning id, received_at
),
reply_wanted as (
  select distinct on (reply_index) n, form_id, reply_index from judged
  where reply_index is not null and status = 'accepted'
    and not exists (select from suppressions where suppressions.address_index = reply_index)
    and not exists (select from reply_days
      where reply_days.address_index = reply_index and replied_at > now() - interval '1 day')
    and not exists (
      select from reply_hours
      where reply_hours.form_id = judged.form_id and hour = date_trunc('hour', now(), 'UTC') and replies >= $20::int
    )
  order by reply_index, n
),
reply_asked as (
  select n, form_id, reply_index,
    row_number() over (partition by form_id order by n) as number,
    count(*) over (partition by form_id) as asked
  from reply_wanted
),
hour_used as (
  insert into reply_hours (form_id, hour, replies)
  select form_id, date_trunc('hour', now(), 'UTC'), count(*) from reply_asked group by form_id
  order by form_id
  on conflict (form_id, hour) do update set replies = reply_hours.replies + excluded.replies
  where reply_hours.replies < $20::int
  returning form_id, replies
),
hour_free as (
  select n, reply_index from reply_asked join hour_used using (form_id)
  where replies - asked + number <= $20::int
),
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
  from unnest($16::int[], $17::uuid[], $18::text[], $19::text[]) as notice (n, id, recipient, internet_message_id)
    join judged on judged.n = notice.n
  union all
  select reply_id, 'auto-reply', 'queued', message_id, null, found_id, now(), reply_internet_message_id, now()
  from replies join judged using (n)
  returning state
),
woken as (
  select pg_notify('${emailChannel}', '') from (select 1 from queued where state = 'queued' limit 1) as any_queued
)
select posted.n::int as n, is_current, (extract(epoch from stored.received_at) * 1000)::float8 as received_ms
from posted left join stored on stored.id = posted.message_id left join woken on true`,
};
