import { defineEntity, p } from '@mikro-orm/core';

const EncryptionKeySchema = defineEntity({
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

/** A key that values in this database may be encrypted with. The key itself is never stored. */
export class EncryptionKey extends EncryptionKeySchema.class {}

EncryptionKeySchema.setClass(EncryptionKey);
