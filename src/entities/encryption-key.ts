import { defineEntity, p } from '@mikro-orm/core';

/** A key that values in this database may be encrypted with. The key itself is never stored. */
export const EncryptionKey = defineEntity({
  name: 'EncryptionKey',
  tableName: 'encryption_keys',
  properties: {
    /** The key's id, as in `ENCRYPTION_KEYS`. */
    id: p.string().length(32).primary(),
    /** A known text encrypted with this key: shows a wrong key before anything is written. */
    canary: p.blob(),
    /** The blind index key, encrypted with this key. */
    wrappedIndexKey: p.blob(),
    createdAt: p.datetime(3).defaultRaw('now()'),
  },
});

/** Unused since 0.3.0. Migrations only add, so the table stays. */
export const RetiredKey = defineEntity({
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
