import { defineEntity, p } from '@mikro-orm/core';

const SenderSchema = defineEntity({
  name: 'Sender',
  tableName: 'senders',
  properties: {
    id: p.uuid().primary(),
    /** Keyed hash of the normalised address (`privacy/keyring.ts`): finds the row without the address. */
    addressIndex: p.blob().unique(),
    /** Encrypted, as in the first post. */
    address: p.blob(),
    /** Encrypted, as in the first post. */
    name: p.blob().nullable(),
    messageCount: p.integer(),
    /** A blocked sender's messages are held, and no auto-reply is sent. */
    blockedAt: p.datetime(3).nullable(),
    firstMessageAt: p.datetime(3),
    lastMessageAt: p.datetime(3),
  },
  indexes: [{ properties: ['lastMessageAt', 'id'] }],
});

/** The person behind an e-mail address; one row per address. */
export class Sender extends SenderSchema.class {
  /** Blocking again keeps the first date. */
  block(now: Date): void {
    this.blockedAt ??= now;
  }

  unblock(): void {
    this.blockedAt = null;
  }
}

SenderSchema.setClass(Sender);
