import * as z from 'zod';
import { attemptOutcomes, emailKinds, emailStates, failureReasons, messageStatuses } from '../../words.ts';
import type { Schema } from './document.ts';
import { receipt, schemaOf } from './schemas.ts';

const text = z.string();
const time = z.iso.datetime();
const sealed = text.nullable();
/** Stored values are shown as they are: a later release on the same database may write further ones. */
const oneOf = (values: readonly string[]) =>
  text.describe(`${values.map((it) => `\`${it}\``).join(', ')}, or one that a later release writes.`);

const sender = z.object({
  id: z.uuid(),
  email: sealed.describe('Null where its seal does not open.'),
  name: sealed,
  messages: z.int().describe('How many are stored.'),
  blockedAt: time.nullable().describe('Since when further messages are held; null where they are not.'),
  suppressedAt: time
    .nullable()
    .describe('Since when no auto-reply goes to this mailbox, because its owner asked for none; null where it may.'),
  firstMessageAt: time,
  lastMessageAt: time,
});

const message = z.object({
  id: z.uuid(),
  receipt,
  form: text.describe('Its form’s name.'),
  status: oneOf(messageStatuses),
  reasons: z.array(text).describe('Why it is held.'),
  email: sealed.describe('Null where the seal of what was posted does not open; so are the five below then.'),
  name: sealed,
  subject: sealed,
  message: sealed,
  extra: z.record(text, text).nullable().describe('Further fields.'),
  receivedAt: time,
  senderId: z.uuid().nullable().describe('Null for a message without a sender.'),
});

const email = z.object({
  id: z.uuid(),
  kind: oneOf(emailKinds),
  state: oneOf(emailStates),
  to: sealed,
  form: text.nullable().describe('Null, like the two below, for a summary, which is about no single message.'),
  messageId: z.uuid().nullable(),
  receipt: receipt.nullable(),
  tries: z.int(),
  dueAt: time,
  failure: text
    .nullable()
    .describe(
      `Why it was given up on: ${failureReasons.map((it) => `\`${it}\``).join(', ')}, or one that a later release writes. The first three are for a failed one, the others for one that was cancelled when its turn came.`,
    ),
  createdAt: time,
  sentAt: time.nullable(),
  resendOf: z.uuid().nullable().describe('The email, sent or cancelled, that this one repeats.'),
  leased: z.boolean().describe('Whether it may be on its way at this moment.'),
});

const attempt = z.object({
  outcome: oneOf(attemptOutcomes),
  code: z.int().nullable().describe('The mail server’s status.'),
  reply: sealed.describe('Its words.'),
  startedAt: time.nullable(),
  finishedAt: time,
});

const pageOf = (item: z.ZodType) =>
  z.object({ items: z.array(item), next: text.nullable().describe('The cursor of the next page; null on the last.') });

/** What the routes for keys answer with: the shapes of `services/present.ts`, which a test holds against real answers. */
export const adminShapes = {
  Sender: sender,
  SenderPage: pageOf(sender),
  Message: message,
  MessagePage: pageOf(message),
  MessageDetails: message.extend({
    clientAddress: sealed.describe('The network that it was posted from: /24 or /48; null after a month.'),
    emails: z.array(email),
  }),
  Email: email,
  EmailPage: pageOf(email),
  EmailDetails: email.extend({ attempts: z.array(attempt) }),
  SenderSearch: z.object({ email: text.describe('In any case.') }),
  SenderExport: z.object({
    exportedAt: time,
    sender: sender.nullable(),
    suppressedAt: time.nullable().describe('Since when no auto-reply goes there, because its owner asked for none.'),
    lastAutoReplyAt: time.nullable().describe('While that keeps the next one back.'),
    erasedAt: time.nullable().describe('When an earlier sender of this address was erased.'),
    messages: z.array(
      message.extend({
        heldAt: time.nullable(),
        clientAddress: sealed.describe('The network that it was posted from, while that is kept.'),
        textCompared: z.boolean().describe('Whether a keyed hash of the text is kept.'),
        repeats: z
          .array(z.object({ kind: z.enum(['idempotency-key', 'double-click']), storedAt: time }))
          .describe('Keyed hashes by which the same post is known again for a while.'),
        emails: z.array(email.extend({ internetMessageId: text, attempts: z.array(attempt) })),
      }),
    ),
  }),
  SenderChange: z
    .object({
      blocked: z.boolean().optional().describe('Whether further messages are held.'),
      suppressed: z.boolean().optional().describe('Whether no auto-reply goes to this mailbox.'),
    })
    .meta({ minProperties: 1 }),
  ResendRequest: z.object({
    again: z.boolean().optional().describe('Also one that was sent already or cancelled, or may have been sent.'),
  }),
  Resent: z.object({
    id: z.uuid(),
    result: z.enum(['queued', 'already-queued']),
    newId: z.uuid().nullable().describe('The new email, in the place of one that was sent already or cancelled.'),
    code: z.null(),
    reason: text.nullable(),
  }),
};

export function adminSchemas(): Record<string, Schema> {
  return Object.fromEntries(Object.entries(adminShapes).map(([name, shape]) => [name, schemaOf(shape)]));
}
