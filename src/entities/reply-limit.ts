import { defineEntity, p } from '@mikro-orm/core';
import { Form } from './form.ts';

const ReplyDaySchema = defineEntity({
  name: 'ReplyDay',
  tableName: 'reply_days',
  properties: {
    /** Blind index of the address, so that the limit also holds while there is no sender row. */
    addressIndex: p.blob().primary(),
    repliedAt: p.datetime(3),
  },
});

/** When an address last got an auto-reply: at most one a day for all forms together. */
export class ReplyDay extends ReplyDaySchema.class {}

ReplyDaySchema.setClass(ReplyDay);

const ReplyHourSchema = defineEntity({
  name: 'ReplyHour',
  tableName: 'reply_hours',
  properties: {
    form: () => p.manyToOne(Form).primary(),
    hour: p.datetime(0).primary(),
    replies: p.integer(),
  },
});

/** How many auto-replies a form has queued in one clock hour. */
export class ReplyHour extends ReplyHourSchema.class {}

ReplyHourSchema.setClass(ReplyHour);
