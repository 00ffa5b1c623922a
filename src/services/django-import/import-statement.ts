import type { Statement } from '../../database/statement.ts';

/** Which of these rows are not to be taken: they were before, or their sender was erased since they were written. */
export const leftStatement: Statement = {
  name: 'import_left_1',
  text: `
select given.print, imported_rows.print is not null as taken
from unnest($1::bytea[], $2::bytea[], $3::float8[]) as given (print, address_index, received_ms)
  left join imported_rows using (print)
  left join erasures on erasures.address_index = given.address_index and erased_at >= to_timestamp(received_ms / 1000)
where imported_rows.print is not null or erased_at is not null`,
};

/** Waits for whoever stores, erases or imports messages of the same senders. */
export const importLockStatement: Statement = {
  name: 'import_lock_1',
  text: 'select count(*) from (select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as key) as taken',
};

/**
 * Takes over a list of messages, or nothing, once those locks are held:
 *
 *   given    the parameters as rows, in the order of the old ids
 *   erased   rows of people who were erased since: what was forgotten here does not come back from there
 *   taken    rows that were never taken before, marked as taken now
 *   won      the messages of those
 *   found    the sender of each address, new or known; a known one's sealed columns stay as first given
 *   stored   the messages. No email is queued and nothing is remembered against repeats: all this was long ago
 */
export const importStatement: Statement = {
  name: 'import_messages_1',
  text: `
with given as materialized (
  select * from unnest(
    $2::uuid[], $3::text[], $4::bytea[], $5::float8[], $6::uuid[], $7::bytea[], $8::bytea[], $9::bytea[], $10::bytea[]
  ) with ordinality as given (
    message_id, receipt, content, received_ms, sender_id, address_index, address, name, print, n
  )
),
erased as materialized (
  select print from given join erasures using (address_index)
  where erased_at >= to_timestamp(received_ms / 1000)
),
taken as (
  insert into imported_rows (print, taken_at)
  select print, now() from given where print not in (select print from erased)
  on conflict (print) do nothing
  returning print
),
won as materialized (
  select given.*, to_timestamp(received_ms / 1000)::timestamptz(3) as received_at from given join taken using (print)
),
found as (
  insert into senders (id, address_index, address, name, message_count, first_message_at, last_message_at)
  select distinct on (address_index)
    sender_id, address_index, address, name,
    count(*) over person, min(received_at) over person, max(received_at) over person
  from won
  window person as (partition by address_index)
  order by address_index, n
  on conflict (address_index) do update set
    message_count = senders.message_count + excluded.message_count,
    first_message_at = least(senders.first_message_at, excluded.first_message_at),
    last_message_at = greatest(senders.last_message_at, excluded.last_message_at)
  returning id, address_index
),
stored as (
  insert into messages (id, receipt, form_id, sender_id, status, content, received_at)
  select message_id, receipt, $1::uuid, found.id, 'accepted', content, received_at
  from won join found using (address_index)
  returning id
)
select
  (select count(*)::int from stored) as messages,
  (select count(*)::int from found where id = any($6::uuid[])) as new_senders,
  (select coalesce(array_agg(print), '{}') from erased) as erased`,
};
