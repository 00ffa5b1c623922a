import { defineEntity, p } from '@mikro-orm/core';

const ImportedRowSchema = defineEntity({
  name: 'ImportedRow',
  tableName: 'imported_rows',
  properties: {
    /** Keyed hash of the whole row. */
    print: p.blob().primary(),
    takenAt: p.datetime(3),
  },
});

/**
 * A row imported from another program's database. It outlives the message and the sender, so that what was deleted or
 * erased here does not come back with the next import.
 */
export class ImportedRow extends ImportedRowSchema.class {}

ImportedRowSchema.setClass(ImportedRow);
