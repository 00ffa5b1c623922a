import { defineEntity, p } from '@mikro-orm/core';

const EncryptionKeySchema = defineEntity({
  name: 'EncryptionKey',
  tableName: 'encryption_keys',
  properties: {
    /** The key's id, as in `ENCRYPTION_KEYS`. */
    id: p.string().length(32).primary(),
    /** A known text sealed with this key: tells a wrong key from the right one before anything is written. */
    canary: p.blob(),
    /** The blind index key, sealed with this key. */
    wrappedIndexKey: p.blob(),
    createdAt: p.datetime(3).defaultRaw('now()'),
  },
});

/** A key that something in this database may be sealed with. The key itself is never stored. */
export class EncryptionKey extends EncryptionKeySchema.class {}

EncryptionKeySchema.setClass(EncryptionKey);
