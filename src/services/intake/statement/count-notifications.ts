import { notices } from './store-rows.ts';

const thisHour = `date_trunc('hour', now(), 'UTC')`;

/**
 * Steps of the storing statement: which notifications are beyond a form's hourly limit (`beyond`). See `services/digest.ts`.
 *
 * @param after SQL condition, always true, that is known only after all other locks were taken.
 */
export const countNotifications = (after: string) => `
-- The notifications of accepted posts, by owner and form.
noticed as materialized (
  select form_id, recipient, array_agg(notice.id order by notice.n) as ids, min(notify_limit) as most
  from ${notices.as('notice', 'post', 'id', 'recipient')} join judged on judged.n = notice.post
  where status = 'accepted' and notify_limit > 0 and ${after}
  group by form_id, recipient
),
-- Counts them. The digest_id counts only once the hour is beyond its limit; until then each statement proposes one.
notify_used as (
  insert into notify_hours (form_id, hour, recipient, notifications, notify_limit, digest_id)
  select form_id, ${thisHour}, recipient, cardinality(ids), most, ids[1] from noticed
  order by form_id, recipient
  on conflict (form_id, hour, recipient) do update set
    notifications = notify_hours.notifications + excluded.notifications,
    notify_limit = excluded.notify_limit,
    digest_id = case when notify_hours.notifications > notify_hours.notify_limit
      then coalesce(notify_hours.digest_id, excluded.digest_id) else excluded.digest_id end
  returning form_id, recipient, notifications, digest_id
),
-- The notifications beyond the limit. The first of them waits until the hour ends, and then lists the others.
beyond as (
  select id, digest_id,
    digest_id = ids[1] and place = greatest(1, most - notifications + cardinality(ids) + 1) as is_digest
  from notify_used join noticed using (form_id, recipient) cross join unnest(ids) with ordinality as each (id, place)
  where notifications > most and notifications - cardinality(ids) + place > most
),`;

/** SQL: the rows of `emails` for the notifications. */
export const notificationRows = `
  select notice.id, 'notification',
    case when status = 'held' then 'held' when is_digest is false then 'cancelled' else 'queued' end,
    message_id, notice.recipient, null::uuid, case when is_digest then ${thisHour} + interval '1 hour' else now() end,
    notice.internet_message_id, now(), case when is_digest then ${thisHour} + interval '1 hour' end,
    case when is_digest is false then 'digest' end, digest_id
  from ${notices.as('notice')} join judged on judged.n = notice.post left join beyond on beyond.id = notice.id`;
