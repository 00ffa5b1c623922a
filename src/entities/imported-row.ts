import { defineEntity, p } from '@mikro-orm/core';

const ImportedRowSchema = defineEntity({
  name: 'ImportedRow',
  tableName: 'imported_rows',
  properties: {
    /** Keyed hash of all that the row held: see `services/old-message.ts`. */
    print: p.blob().primary(),
    takenAt: p.datetime(3),
  },
});

/**
 * A row of another program's database that was taken over. It outlives the message and the sender: what was
 * deleted or erased here must not come back by the next import.
 */
export class ImportedRow extends ImportedRowSchema.class {}

ImportedRowSchema.setClass(ImportedRow);
