// Steps of the storing statement: which of the posts in `posted` are stored (`won`).

export const useCaptchas = `captcha_first as (
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
),`;

/** Instead, if no post has a captcha. */
export const everyPost = `passed as materialized (
  select n, form_id, message_id, key, fingerprint from posted where is_current
),`;

export const findNewWithKeys = `
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
),`;

/** Instead, if no post has an idempotency key. */
export const findNew = `
-- Posts that do not repeat one of the last ten minutes.
window_won as (
  insert into recent_posts (fingerprint, message_id, stored_at)
  select distinct on (fingerprint) fingerprint, message_id, now() from passed
  order by fingerprint, n
  on conflict (fingerprint) do update set message_id = excluded.message_id, stored_at = excluded.stored_at
  where recent_posts.stored_at <= excluded.stored_at - interval '10 minutes'
  returning message_id
),
-- The posts to store. The others leave no trace; find-repeats.ts finds their answers.
won as materialized (
  select n, form_id, message_id from passed where message_id in (select message_id from window_won)
),`;
