import { columns } from '../../database/columns.ts';
import type { Statement } from '../../database/statement.ts';

export const candidates = columns({ print: 'bytea', address_index: 'bytea', received_ms: 'float8' });

/** Finds rows not to import: they were imported before, or an address in them was erased after they were written. */
export const leftStatement: Statement = {
  name: 'import_left_2',
  text: `
select given.print, imported_rows.print is not null as taken
from ${candidates.as('given')}
  left join imported_rows using (print)
  left join erasures on erasures.address_index = given.address_index and erased_at >= to_timestamp(received_ms / 1000)
where imported_rows.print is not null or erased_at is not null`,
};

/** Waits until nobody else stores, erases or imports messages of the same senders. */
export const importLockStatement: Statement = {
  name: 'import_lock_1',
  text: 'select count(*) from (select pg_advisory_xact_lock(key) from unnest($1::bigint[]) as key) as taken',
};

/** One row for each message, in the order of the old ids. The statement's first parameter is the id of the form. */
export const oldMessages = columns(
  {
    print: 'bytea',
    address_index: 'bytea',
    received_ms: 'float8',
    sender_id: 'uuid',
    address: 'bytea',
    name: 'bytea',
    message_id: 'uuid',
    receipt: 'text',
    content: 'bytea',
    other_addresses: 'text',
  },
  2,
);

/** Imports messages that were not imported before, while the senders' locks are held. Queues no email. */
export const importStatement: Statement = {
  name: 'import_messages_4',
  text: `
with given as materialized (
  select *, to_timestamp(received_ms / 1000)::timestamptz(3) as received_at from ${oldMessages.as('given')}
),
marked as (
  insert into imported_rows (print, taken_at) select print, now() from given
),
-- The sender of each address, new or known; a message without an address has none. The encrypted columns of a known one stay as they are.
found as (
  insert into senders (id, address_index, address, name, message_count, first_message_at, last_message_at)
  select distinct on (address_index)
    sender_id, address_index, address, name,
    count(*) over person, min(received_at) over person, max(received_at) over person
  from given
  where address_index is not null
  window person as (partition by address_index)
  order by address_index, n
  on conflict (address_index) do update set
    message_count = senders.message_count + excluded.message_count,
    first_message_at = least(senders.first_message_at, excluded.first_message_at),
    last_message_at = greatest(senders.last_message_at, excluded.last_message_at)
  returning id, address_index
),
stored as (
  insert into messages (id, receipt, form_id, sender_id, status, content, other_addresses, received_at)
  select message_id, receipt, $1::uuid, found.id, 'accepted', content, string_to_array(other_addresses, ','), received_at
  from given left join found using (address_index)
)
select count(*)::int as new_senders from found where id = any(${oldMessages.array('sender_id')})`,
};
