import { defineEntity, p } from '@mikro-orm/core';
import { pauseCauses } from '../words.ts';

const MailQueueSchema = defineEntity({
  name: 'MailQueue',
  tableName: 'mail_queue',
  properties: {
    /** Always 1: there is one queue. */
    id: p.smallint().primary().autoincrement(false),
    /** Empty while mail is being sent. */
    pausedAt: p.datetime(3).nullable(),
    cause: p.enum(pauseCauses).nullable(),
    /** Sealed: a mail server's reply could quote an address. */
    reason: p.blob().nullable(),
    /** When a worker last began to ask the mail server whether it lets us in again. */
    probedAt: p.datetime(3).nullable(),
    /** Which database this row was written in; another one holds a copy of it. Empty until the first worker starts. */
    databaseIdentity: p.text().nullable(),
  },
  checks: [
    { name: 'mail_queue_one_row', expression: 'id = 1' },
    { name: 'mail_queue_paused_for_a_cause', expression: '(paused_at is null) = (cause is null)' },
  ],
});

/** What all workers have to know of the queue: one row. */
export class MailQueue extends MailQueueSchema.class {}

MailQueueSchema.setClass(MailQueue);
