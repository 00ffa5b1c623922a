/**
 * Every column that holds sealed values, with what rotating and counting need to know of its table: the type of
 * `id`, and the column that says when a row was sealed. The one list: the keyring seals nothing for a place that is
 * not in it, and a test compares it with the schema.
 */
export const sealedTables = {
  senders: { columns: ['address', 'name'], idType: 'uuid', sealedAt: 'first_message_at' },
  messages: { columns: ['content', 'client_address'], idType: 'uuid', sealedAt: 'received_at' },
  attempts: { columns: ['reply'], idType: 'uuid', sealedAt: 'finished_at' },
  mail_queue: { columns: ['reason'], idType: 'smallint', sealedAt: 'paused_at' },
} as const;

export type SealedTable = keyof typeof sealedTables;
export const sealedTableNames = Object.keys(sealedTables) as SealedTable[];

/** Where a value that is sealed with the newest key may stand. */
export type SealedPlace = {
  [T in SealedTable]: { table: T; column: (typeof sealedTables)[T]['columns'][number]; row: string };
}[SealedTable];

/**
 * The name of a statement that is written from this list. The columns are in it, since a name must never be given to
 * another text: releases run side by side.
 */
export function nameStatement(verb: string, table: SealedTable): string {
  return [verb, table, ...sealedTables[table].columns].join('_');
}

/** The places of one row, in the order of its table's columns. */
export function placesOf(table: SealedTable, row: string): SealedPlace[] {
  // Each column comes from the entry of this very table, which is more than the type of a union can say.
  return sealedTables[table].columns.map((column) => ({ table, column, row }) as SealedPlace);
}
