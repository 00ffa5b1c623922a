/**
 * Every column with encrypted values, by table, with the type of the table's `id` and the column with the time when a row
 * was written. The keyring's types accept no other place, and a test compares this list with the schema.
 */
export const sealedTables = {
  senders: { columns: ['address', 'name'], idType: 'uuid', sealedAt: 'first_message_at' },
  messages: { columns: ['content', 'client_address'], idType: 'uuid', sealedAt: 'received_at' },
  emails: { columns: ['content'], idType: 'uuid', sealedAt: 'created_at' },
  attempts: { columns: ['reply'], idType: 'uuid', sealedAt: 'finished_at' },
  hooks: { columns: ['url', 'secret', 'former_secret'], idType: 'uuid', sealedAt: 'created_at' },
  hook_attempts: { columns: ['reply'], idType: 'uuid', sealedAt: 'finished_at' },
  mail_queue: { columns: ['reason'], idType: 'smallint', sealedAt: 'paused_at' },
} as const;

export type SealedTable = keyof typeof sealedTables;
export const sealedTableNames = Object.keys(sealedTables) as SealedTable[];

/** A place for an encrypted value: table, column and row. */
export type SealedPlace = {
  [T in SealedTable]: { table: T; column: (typeof sealedTables)[T]['columns'][number]; row: string };
}[SealedTable];

/** The places of one row, in the order of the table's columns. */
export function placesOf(table: SealedTable, row: string): SealedPlace[] {
  // The column belongs to this table, but a union type cannot express that.
  return sealedTables[table].columns.map((column) => ({ table, column, row }) as SealedPlace);
}
