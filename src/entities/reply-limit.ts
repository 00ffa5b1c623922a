import { defineEntity, p } from '@mikro-orm/core';
import { Form } from './form.ts';

const ReplyDaySchema = defineEntity({
  name: 'ReplyDay',
  tableName: 'reply_days',
  properties: {
    /** Blind index of the address, so that the limit holds before and after there is a sender. */
    addressIndex: p.blob().primary(),
    repliedAt: p.datetime(3),
  },
});

/** When an address last had an auto-reply: one a day over all forms. */
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

/** How many auto-replies a form has asked for in one hour of the clock. */
export class ReplyHour extends ReplyHourSchema.class {}

ReplyHourSchema.setClass(ReplyHour);
