import { msSql, type Statement } from '../../../database/statement.ts';
import { emailChannel, insertDeliveries } from '../../outbox.ts';
import { countNotifications, notificationRows } from './count-notifications.ts';
import { countReplies, joinReplies, noReplyReason, replyRows } from './count-replies.ts';
import { everyPost, findNew, findNewWithKeys, useCaptchas } from './find-new-posts.ts';
import { posts } from './store-rows.ts';

/** How many of the newest messages with the same text are compared. */
const newestOfText = 1000;

/**
 * Finds a third other person who sent the same long text within a day. Three lookups follow each other, and each ends at its
 * first match, so a text from thousands of people costs three rows. Each message without a sender counts as another person.
 */
const thirdOtherPerson = `
    select third.person as third_person
    from (${otherPerson('coalesce(found.id, won.message_id)')}) as first
      cross join lateral (${otherPerson('coalesce(found.id, won.message_id), first.person')}) as second
      cross join lateral (${otherPerson('coalesce(found.id, won.message_id), first.person, second.person')}) as third`;

function otherPerson(than: string): string {
  return `
      select person from (
        select coalesce(messages.sender_id, messages.id) as person from messages
        where messages.text_index = written.text_index and received_at > now() - interval '1 day'
        order by received_at desc limit ${newestOfText}
      ) as newest where person not in (${than})
      limit 1`;
}

const partNames = ['captchas', 'keys', 'replies'] as const;

/** Whether any of the posts has a captcha, has an idempotency key, may get an auto-reply. Each part takes time even if it does nothing. */
type Parts = Readonly<Record<(typeof partNames)[number], boolean>>;

/**
 * Stores everything about a list of posts, or nothing. Each step has only the columns that decide about a post; the others
 * are joined where they are written, because every column in between makes the statement slower.
 */
function storeSql({ captchas, keys, replies }: Parts): string {
  return `
-- How long this statement waits for a lock: as long as its connection does, unless $1 says otherwise.
with patience as materialized (
  select set_config('lock_timeout', coalesce($1::text, current_setting('lock_timeout')), true) as value
),
-- Waits for other statements about the same addresses, keys, texts or captchas. We cannot choose the order in which
-- PostgreSQL runs the steps below, so without these locks they would deadlock. Only the hourly counts have locks beyond
-- these: their rows are locked after all others, table by table (reply_limits, reply_hours, notify_hours), in order.
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
${captchas ? useCaptchas : everyPost}${keys ? findNewWithKeys : findNew}
-- The sender of each address, new or known; a post without an address has none. A known sender keeps its encrypted columns, since they are bound to its id.
found as (
  insert into senders (id, address_index, address, name, message_count, first_message_at, last_message_at)
  select distinct on (address_index)
    sender_id, address_index, address, name, count(*) over (partition by address_index), now(), now()
  from won join ${posts.as('writer', 'sender_id', 'address_index', 'address', 'name')} using (n)
  where address_index is not null
  order by address_index, n
  on conflict (address_index) do update set
    message_count = senders.message_count + excluded.message_count,
    last_message_at = greatest(senders.last_message_at, excluded.last_message_at)
  returning id, address_index, blocked_at
),
-- Holds posts of blocked senders, also with their address in another field, and texts that many senders sent.
judged as materialized (
  select n, form_id, message_id, found.id as found_id, receipt, content, text_index, other_addresses, client_address,
    no_reply, notify_limit,
    case when is_blocked or third_person is not null then 'held' else status end as status,
    string_to_array(reasons, ',')
      || case when is_blocked then array['sender-blocked'] else '{}' end
      || case when third_person is not null then array['same-text-from-many'] else '{}' end as reasons
  from won
    join ${posts.as('written', 'address_index', 'receipt', 'status', 'reasons', 'content', 'text_index', 'other_addresses', 'client_address', 'no_reply', 'notify_limit')} using (n)
    left join found using (address_index)
    cross join lateral (select blocked_at is not null or (other_addresses is not null and exists (
      select from senders where senders.blocked_at is not null
        and address_index = any(select decode(it, 'hex') from unnest(string_to_array(other_addresses, ',')) as it)
    )) as is_blocked) as block
    left join lateral (${thirdOtherPerson}) as others on true
),
${replies ? countReplies : ''}
stored as (
  insert into messages (id, receipt, form_id, sender_id, status, reasons, content, text_index, other_addresses,
    client_address, received_at, no_reply)
  select message_id, receipt, judged.form_id, found_id, judged.status, reasons, content, text_index,
    string_to_array(other_addresses, ','), client_address, now(),
    ${replies ? noReplyReason : "coalesce(no_reply, 'held')"}
  from judged${replies ? joinReplies : ''}
  returning id, received_at
),
${countNotifications(replies ? '(select count(*) from replied) >= 0' : 'true')}
queued as (
  insert into emails (id, kind, state, message_id, recipient, sender_id, due_at, internet_message_id, created_at,
    requeued_at, failure, digest_id)${notificationRows}${
      replies
        ? `
  union all${replyRows}`
        : ''
    }
  returning state
),
hooked as (${insertDeliveries("select 'message.' || status, form_id, message_id, null::uuid from judged")}
),
-- Wakes the workers at the commit.
woken as (
  select pg_notify('${emailChannel}', '') from (select 1 from queued where state = 'queued' limit 1) as any_queued
)
select posted.n::int as n, is_current, ${msSql('stored.received_at')} as received_ms
from posted left join stored on stored.id = posted.message_id left join woken on true`;
}

/** The statement with the given parts, each time the same: PostgreSQL prepares it under its name. */
export function storeStatement(parts: Parts): Statement {
  const name = ['store_messages_13', ...partNames.filter((part) => parts[part])].join('_');
  return { name, text: storeSql(parts) };
}
