import { defineEntity, p } from '@mikro-orm/core';

const SuppressionSchema = defineEntity({
  name: 'Suppression',
  tableName: 'suppressions',
  properties: {
    /** Blind index of the mailbox, the same for every spelling of its address: see `mailboxForLimits`. */
    addressIndex: p.blob().primary(),
    suppressedAt: p.datetime(3),
  },
});

/** A mailbox whose owner asked for no more auto-replies. Outlives the sender. */
export class Suppression extends SuppressionSchema.class {}

SuppressionSchema.setClass(Suppression);
