import { defineEntity, p } from '@mikro-orm/core';

const DutySchema = defineEntity({
  name: 'Duty',
  tableName: 'duties',
  properties: {
    name: p.string().length(64).primary(),
    doneAt: p.datetime(3),
  },
});

/** A periodic task, which one of the running processes does, and when it was last done. */
export class Duty extends DutySchema.class {}

DutySchema.setClass(Duty);
