import { defineEntity, p } from '@mikro-orm/core';

const SuppressionSchema = defineEntity({
  name: 'Suppression',
  tableName: 'suppressions',
  properties: {
    /** Blind index of the mailbox, however its address is written: see `mailboxForLimits`. */
    addressIndex: p.blob().primary(),
    suppressedAt: p.datetime(3),
  },
});

/** A mailbox whose owner asked never to get an auto-reply again. Outlives the sender. */
export class Suppression extends SuppressionSchema.class {}

SuppressionSchema.setClass(Suppression);
