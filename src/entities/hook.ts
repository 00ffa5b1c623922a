import { defineEntity, type InferEntity, p } from '@mikro-orm/core';
import { attemptOutcomes, deliveryStates, failureReasons, hookKinds, hookStates } from '../words.ts';
import { Email } from './email.ts';
import { Message } from './message.ts';

/** An address outside that is told about events. */
export const Hook = defineEntity({
  name: 'Hook',
  tableName: 'hooks',
  properties: {
    id: p.uuid().primary(),
    /** The operator's name for it, in commands and logs. */
    name: p.string().length(64).unique(),
    kind: p.enum(hookKinds),
    state: p.enum(hookStates),
    /** Encrypted, because the addresses of chat services are secrets. */
    url: p.blob(),
    /** Encrypted; only for signed webhooks. */
    secret: p.blob().nullable(),
    /** The secret before the last rotation, encrypted. Until `formerUntil` it signs too. */
    formerSecret: p.blob().nullable(),
    formerUntil: p.datetime(3).nullable(),
    /** Of `hookEvents`. */
    events: p.array().columnType('text[]'),
    /** Ids of the forms it is told about, also of deleted ones; empty means every form. */
    formIds: p.array().columnType('uuid[]').nullable(),
    /** Whether deliveries carry what the visitor wrote. */
    withContent: p.boolean().default(false),
    /** Since when attempts fail, without one success; empty while it answers. */
    failingSince: p.datetime(3).nullable(),
    /** No attempt begins before this time: it failed, or asked us to wait. */
    quietUntil: p.datetime(3).nullable(),
    createdAt: p.datetime(3),
  },
});
export type Hook = InferEntity<typeof Hook>;

/** One event on its way to one hook. The row is the job, as with an email. */
export const HookDelivery = defineEntity({
  name: 'HookDelivery',
  tableName: 'hook_deliveries',
  properties: {
    /** UUIDv7; also the `webhook-id`, the same at every attempt. */
    id: p.uuid().primary(),
    hook: () => p.manyToOne(Hook).deleteRule('cascade'),
    /** Of `hookEvents`. Not checked by the database: a later release may store others. */
    event: p.text(),
    state: p.enum(deliveryStates),
    message: () => p.manyToOne(Message).nullable().deleteRule('cascade'),
    /** For `email.failed`. */
    email: () => p.manyToOne(Email).nullable().deleteRule('cascade'),
    /** When the next attempt may begin, by the database's clock; while leased, when the lease ends. */
    dueAt: p.datetime(3),
    leaseToken: p.uuid().nullable(),
    /** Attempts begun so far. */
    tries: p.smallint().default(0),
    failure: p.enum(failureReasons).nullable(),
    /** When the event happened. */
    createdAt: p.datetime(3),
    requeuedAt: p.datetime(3).nullable(),
    sentAt: p.datetime(3).nullable(),
  },
  indexes: [
    { properties: ['hook', 'dueAt'], where: "state = 'queued'", name: 'hook_deliveries_due_index' },
    { properties: ['hook', 'id'] },
    { properties: ['state', 'id'] },
    { properties: ['message'], where: 'message_id is not null', name: 'hook_deliveries_message_index' },
    { properties: ['email'], where: 'email_id is not null', name: 'hook_deliveries_email_index' },
  ],
});

export type HookDelivery = InferEntity<typeof HookDelivery>;

/** One attempt to deliver an event, with the answer. */
export const HookAttempt = defineEntity({
  name: 'HookAttempt',
  tableName: 'hook_attempts',
  properties: {
    id: p.uuid().primary(),
    delivery: () => p.manyToOne(HookDelivery).deleteRule('cascade'),
    outcome: p.enum(attemptOutcomes),
    /** HTTP status, if there was an answer. */
    code: p.smallint().nullable(),
    /** The beginning of the answer, or the error; encrypted. Empty if the worker was lost. */
    reply: p.blob().nullable(),
    startedAt: p.datetime(3).nullable(),
    finishedAt: p.datetime(3),
  },
  indexes: [{ properties: ['delivery', 'finishedAt'] }, { properties: ['finishedAt'] }],
});
export type HookAttempt = InferEntity<typeof HookAttempt>;
