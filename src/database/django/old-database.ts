/** The Django backend's database, PostgreSQL or SQLite. Nothing is ever written to it. */
export interface OldDatabase extends AsyncDisposable {
  /** @param text with `$1`, `$2` for its values. @throws {OldDatabaseUnreadable} */
  query<Row extends object>(text: string, values?: readonly (bigint | number)[]): Promise<Row[]>;
}

/** A row of `backend_message`, with the row of `backend_sender` that it refers to. */
export interface OldMessage {
  id: bigint;
  text: string | null;
  /** As the database writes it; in UTC if the column has a time zone. */
  date: string | null;
  /** Id of the sender; null if there is no such row. */
  sender: string | null;
  address: string | null;
  name: string | null;
}

/** Below every id. */
export const beforeFirst = -(2n ** 63n);

export async function countOldMessages(old: OldDatabase): Promise<number> {
  const [row] = await old.query<{ count: string }>('select cast(count(*) as text) as count from backend_message');
  return Number(row?.count);
}

/** @returns the next page, ordered by id. */
export async function readOldMessages(old: OldDatabase, after: bigint, limit: number): Promise<OldMessage[]> {
  const rows = await old.query<Omit<OldMessage, 'id'> & { id: string }>(
    `select cast(m.id as text) as id, cast(m.message as text) as text, cast(m.date as text) as date,
      cast(s.id as text) as sender, cast(s.email as text) as address, cast(s.name as text) as name
    from backend_message m left join backend_sender s on s.id = m.message_sender_id
    where m.id > $1
    order by m.id limit $2`,
    [after, limit],
  );
  return rows.map((row) => ({ ...row, id: BigInt(row.id) }));
}

/** The argument does not name a database that we can read. */
export class OldDatabaseUnknown extends Error {
  override readonly name = 'OldDatabaseUnknown';
}

/** The old database is missing, is not from the Django backend, or cannot be read. */
export class OldDatabaseUnreadable extends Error {
  override readonly name = 'OldDatabaseUnreadable';

  constructor(why: string, options?: ErrorOptions) {
    super(`the old database ${why}`, options);
  }
}
