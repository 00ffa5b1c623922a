/** A row of the Django backend's `backend_message`, with the row of `backend_sender` that it points to. */
export interface OldMessage {
  id: bigint;
  text: string | null;
  /** As the database writes it; in UTC where the column knows its time zone. */
  date: string | null;
  /** Null where it points to nobody. */
  sender: { address: string | null; name: string | null } | null;
}

/** The Django backend's database. It is read page by page, by id, and nothing is ever written to it. */
export interface OldDatabase extends AsyncDisposable {
  countMessages(): Promise<number>;
  readMessages(after: bigint, limit: number): Promise<OldMessage[]>;
  /** One id for each address that no message points to, by whatever row of it. */
  readSilentSenders(after: bigint, limit: number): Promise<{ id: bigint }[]>;
}

/** Below every id. */
export const beforeFirst = -(2n ** 63n);

/** The same in PostgreSQL and SQLite, but for how they write a parameter. */
export function oldQueries(parameter: (n: number) => string) {
  return {
    count: 'select count(*) as count from backend_message',
    messages: `
select cast(m.id as text) as id, cast(m.message as text) as text, cast(m.date as text) as date,
  cast(s.id as text) as sender, cast(s.email as text) as address, cast(s.name as text) as name
from backend_message m left join backend_sender s on s.id = m.message_sender_id
where m.id > ${parameter(1)}
order by m.id limit ${parameter(2)}`,
    silentSenders: `
select cast(min(s.id) as text) as id
from backend_sender s
  left join (select distinct message_sender_id as id from backend_message) m on m.id = s.id
group by lower(trim(s.email))
having count(m.id) = 0 and min(s.id) > ${parameter(1)}
order by min(s.id) limit ${parameter(2)}`,
  };
}

/** A row as those queries give it. */
export interface OldRow {
  id: string;
  text: string | null;
  date: string | null;
  sender: string | null;
  address: string | null;
  name: string | null;
}

export function toOldMessage(row: OldRow): OldMessage {
  const { id, text, date, sender, address, name } = row;
  return { id: BigInt(id), text, date, sender: sender === null ? null : { address, name } };
}

/** What was given names no database that we can read. */
export class OldDatabaseUnknown extends Error {
  override readonly name = 'OldDatabaseUnknown';
}

/** The old database is not there, is not what it should be, or does not let us read it. */
export class OldDatabaseUnreadable extends Error {
  override readonly name = 'OldDatabaseUnreadable';

  constructor(why: string, options?: ErrorOptions) {
    super(`the old database ${why}`, options);
  }
}
