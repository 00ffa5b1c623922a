import { defineEntity, p } from '@mikro-orm/core';

/** Records that a sender was erased. Also kept in a file outside the database: the erasure log. */
export const Erasure = defineEntity({
  name: 'Erasure',
  tableName: 'erasures',
  properties: {
    /** Blind index of the address; the address itself is not stored. */
    addressIndex: p.blob().primary(),
    /** Messages up to this time must not come back; later ones are not affected. */
    erasedAt: p.datetime(3),
  },
});

/** A mailbox whose owner asked for no more auto-replies. */
export const Suppression = defineEntity({
  name: 'Suppression',
  tableName: 'suppressions',
  properties: {
    /** Blind index of the mailbox, the same for every spelling of its address: see `mailboxForLimits`. */
    addressIndex: p.blob().primary(),
    suppressedAt: p.datetime(3),
  },
});

/** A row imported from another program's database, so that a deleted message does not come back with the next import. */
export const ImportedRow = defineEntity({
  name: 'ImportedRow',
  tableName: 'imported_rows',
  properties: {
    /** Keyed hash of the whole row. */
    print: p.blob().primary(),
    takenAt: p.datetime(3),
  },
});
