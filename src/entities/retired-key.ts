import { defineEntity, p } from '@mikro-orm/core';

const RetiredKeySchema = defineEntity({
  name: 'RetiredKey',
  tableName: 'retired_keys',
  properties: {
    /** The key's id, as it was in `ENCRYPTION_KEYS`. */
    id: p.string().length(32).primary(),
    /** The known text encrypted with it, so that another key cannot take its id. */
    canary: p.blob(),
    retiredAt: p.datetime(3).defaultRaw('now()'),
  },
});

/** Unused since 0.3.0. Release 0.2.0 reads and writes this table, so it stays until 0.4.0. */
export class RetiredKey extends RetiredKeySchema.class {}

RetiredKeySchema.setClass(RetiredKey);
