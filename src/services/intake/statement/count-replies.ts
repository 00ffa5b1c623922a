import { repliesPerDomain, repliesPerForm, repliesPerNetwork } from '../reply-limits.ts';
import { replies } from './store-rows.ts';

const thisHour = `date_trunc('hour', now(), 'UTC')`;

/** Steps of the storing statement: which of the posts in `judged` get an auto-reply (`replied`). */
export const countReplies = `
-- The accepted posts that may get an auto-reply, with the first rule that is against it (as of the start of the statement).
reply_checked as materialized (
  select asked.post, form_id, reply_index, network, domain, reply_id, internet_message_id, case
    when exists (select from suppressions where suppressions.address_index in (reply_index, former_index)) then 'opted-out'
    when exists (select from reply_days
      where reply_days.address_index = reply_index and replied_at > now() - interval '1 day') then 'mailbox-limit'
    when exists (select from reply_hours
      where reply_hours.form_id = judged.form_id and hour = ${thisHour} and replies >= ${repliesPerForm}) then 'form-limit'
    when network_place > ${repliesPerNetwork} then 'network-limit'
    when domain_place > ${repliesPerDomain} then 'domain-limit'
    else (select case key when network then 'network-limit' else 'domain-limit' end from reply_limits
      where key in (network, domain) and hour = ${thisHour} and case key
        when network then replies + network_place > ${repliesPerNetwork}
        else replies + domain_place > ${repliesPerDomain} end
      limit 1)
    end as no_reply
  from ${replies.as('asked')} join judged on judged.n = asked.post
  where status = 'accepted'
),
-- The first post of each mailbox.
reply_wanted as materialized (
  select distinct on (reply_index) post, form_id, reply_index, network, domain from reply_checked
  where no_reply is null
  order by reply_index, post
),
-- Counts the auto-replies of each client network and recipient domain.
key_used as (
  insert into reply_limits (key, hour, replies)
  select key, ${thisHour}, count(*) from reply_wanted cross join lateral (values (network), (domain)) as counted (key)
  where key is not null group by key
  order by key
  on conflict (key, hour) do update set replies = reply_limits.replies + excluded.replies
  returning key, replies
),
-- Without those of a limit that other statements have used up meanwhile.
reply_asked as materialized (
  select post, form_id, reply_index,
    row_number() over (partition by form_id order by post) as number,
    count(*) over (partition by form_id) as asked
  from reply_wanted where not exists (select from key_used
    where key = network and replies > ${repliesPerNetwork} or key = domain and replies > ${repliesPerDomain})
),
-- Counts the auto-replies of each form, unless the hour is full.
hour_used as (
  insert into reply_hours (form_id, hour, replies)
  select form_id, ${thisHour}, count(*) from reply_asked group by form_id
  order by form_id
  on conflict (form_id, hour) do update set replies = reply_hours.replies + excluded.replies
  where reply_hours.replies < ${repliesPerForm}
  returning form_id, replies
),
-- The auto-replies within the limit. A mailbox beyond it is not marked in reply_days.
hour_free as (
  select post, reply_index from reply_asked join hour_used using (form_id)
  where replies - asked + number <= ${repliesPerForm}
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
replied as materialized (
  select post from hour_free join day_free on day_free.address_index = hour_free.reply_index
),`;

/**
 * SQL: why a post in `judged` gets no auto-reply; null if it gets one. Posts that arrive together get the likeliest reason:
 * they are from one mailbox. The names come from `joinReplies`.
 */
export const noReplyReason = `case
    when judged.no_reply is not null then judged.no_reply
    when judged.status = 'held' then 'held'
    when replied.post is null then coalesce(reply_checked.no_reply, 'mailbox-limit')
    end`;

export const joinReplies = `
    left join reply_checked on reply_checked.post = judged.n
    left join replied on replied.post = judged.n`;

/** SQL: the rows of `emails` for the auto-replies. */
export const replyRows = `
  select reply_id, 'auto-reply', 'queued', message_id, null, found_id, now(), internet_message_id, now(), null, null, null
  from replied join reply_checked using (post) join judged on judged.n = post`;
