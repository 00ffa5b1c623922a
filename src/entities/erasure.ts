import { defineEntity, p } from '@mikro-orm/core';

const ErasureSchema = defineEntity({
  name: 'Erasure',
  tableName: 'erasures',
  properties: {
    /** Blind index of the address; the address itself is nowhere kept. */
    addressIndex: p.blob().primary(),
    /** What came from there up to then must not come back; what came later is none of it. */
    erasedAt: p.datetime(3),
  },
});

/** That a sender was erased. Also kept outside the database: see `services/erasure-log.ts`. */
export class Erasure extends ErasureSchema.class {}

ErasureSchema.setClass(Erasure);
