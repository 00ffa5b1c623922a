import { defineEntity, type InferEntity, p } from '@mikro-orm/core';
import { storedPauseCauses } from '../words.ts';

/** The state of the queue that all workers share: one row. */
export const MailQueue = defineEntity({
  name: 'MailQueue',
  tableName: 'mail_queue',
  properties: {
    /** Always 1: there is one queue. */
    id: p.smallint().primary().autoincrement(false),
    /** Empty while mail is being sent. */
    pausedAt: p.datetime(3).nullable(),
    cause: p.enum(storedPauseCauses).nullable(),
    /** Says about the cause `broken`, and about no other, that no mail server answers. */
    isAway: p.boolean().default(false),
    /** Encrypted, because a mail server's reply could quote an address. */
    reason: p.blob().nullable(),
    /** When a worker last checked whether the mail server accepts our login again. */
    probedAt: p.datetime(3).nullable(),
    /** The database this row was written in; a copy of it has another identity. Empty until the first worker starts. */
    databaseIdentity: p.text().nullable(),
  },
  checks: [
    { name: 'mail_queue_one_row', expression: 'id = 1' },
    { name: 'mail_queue_paused_for_a_cause', expression: '(paused_at is null) = (cause is null)' },
  ],
});

/** A periodic task, which one of the running processes does, and when it was last done. */
export const Duty = defineEntity({
  name: 'Duty',
  tableName: 'duties',
  properties: {
    name: p.string().length(64).primary(),
    doneAt: p.datetime(3),
  },
});

/** A condition that the operator is told about. The row stays when it has ended. */
export const Alert = defineEntity({
  name: 'Alert',
  tableName: 'alerts',
  properties: {
    condition: p.string().length(128).primary(),
    /** Empty while all is well. */
    since: p.datetime(3).nullable(),
    /** When the alert, its last reminder or its end was sent. Before `since`, the alert is still to be sent. */
    toldAt: p.datetime(3).nullable(),
    /** What did not take the last of these, and what it answered. */
    error: p.text().nullable(),
  },
});
export type Alert = InferEntity<typeof Alert>;
