import { defineEntity, p } from '@mikro-orm/core';

const ErasureSchema = defineEntity({
  name: 'Erasure',
  tableName: 'erasures',
  properties: {
    /** Blind index of the address; the address itself is not stored. */
    addressIndex: p.blob().primary(),
    /** Messages up to this time must not come back; later ones are not affected. */
    erasedAt: p.datetime(3),
  },
});

/** Records that a sender was erased. Also kept in a file outside the database: the erasure log. */
export class Erasure extends ErasureSchema.class {}

ErasureSchema.setClass(Erasure);
