import { defineEntity, p } from '@mikro-orm/core';

const RetiredKeySchema = defineEntity({
  name: 'RetiredKey',
  tableName: 'retired_keys',
  properties: {
    /** The key's id, as it was in `ENCRYPTION_KEYS`. */
    id: p.string().length(32).primary(),
    /** The known text that it sealed: another key may not come back under its name. */
    canary: p.blob(),
    retiredAt: p.datetime(3).defaultRaw('now()'),
  },
});

/** A key that sealed nothing any more when it was retired. Backups of before still need it. One that came back into use stays on record. */
export class RetiredKey extends RetiredKeySchema.class {}

RetiredKeySchema.setClass(RetiredKey);
