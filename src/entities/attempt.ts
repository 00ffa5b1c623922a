import { defineEntity, type InferEntity, p } from '@mikro-orm/core';
import { attemptOutcomes } from '../words.ts';
import { Email } from './email.ts';

/** One attempt to deliver an email, with the SMTP reply. */
export const Attempt = defineEntity({
  name: 'Attempt',
  tableName: 'attempts',
  properties: {
    id: p.uuid().primary(),
    email: () => p.manyToOne(Email).deleteRule('cascade'),
    outcome: p.enum(attemptOutcomes),
    /** SMTP reply code, if a server replied. */
    code: p.smallint().nullable(),
    /** Encrypted reply or error text, because it could quote an address. Empty if the worker was lost. */
    reply: p.blob().nullable(),
    startedAt: p.datetime(3).nullable(),
    finishedAt: p.datetime(3),
  },
  indexes: [{ properties: ['email', 'finishedAt'] }, { properties: ['finishedAt'] }],
});

export type Attempt = InferEntity<typeof Attempt>;
