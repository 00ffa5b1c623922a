import * as z from 'zod';
import {
  attemptOutcomes,
  emailKinds,
  emailStates,
  failureReasons,
  messageStatuses,
  noReplyReasons,
} from '../../words.ts';
import type { Schema } from './document.ts';
import { inWords } from './parts.ts';
import { receipt, schemasOf } from './schemas.ts';

const text = z.string();
const time = z.iso.datetime();
const sealed = text.nullable();
/** Stored values are shown as they are: a later release on the same database may write new ones. */
const oneOf = (values: readonly string[]) => text.describe(`${inWords(values)}, or a value of a later release.`);

const sender = z.object({
  id: z.uuid(),
  email: sealed.describe('Null if it cannot be decrypted.'),
  name: sealed,
  messages: z.int().describe('How many of their messages are stored.'),
  blockedAt: time.nullable().describe('Since when new messages are held; null if not blocked.'),
  suppressedAt: time
    .nullable()
    .describe('Since when this mailbox gets no auto-reply, because its owner asked for none; null if it may get one.'),
  firstMessageAt: time,
  lastMessageAt: time,
});

const message = z.object({
  id: z.uuid(),
  receipt,
  form: text.describe('The form’s name.'),
  status: oneOf(messageStatuses),
  reasons: z.array(text).describe('Why it is held.'),
  email: sealed.describe('This and the next four are null if the post cannot be decrypted.'),
  name: sealed,
  subject: sealed,
  message: sealed,
  extra: z.record(text, text).nullable().describe('Extra fields.'),
  receivedAt: time,
  senderId: z.uuid().nullable().describe('Null for a message without a sender.'),
});

const email = z.object({
  id: z.uuid(),
  kind: oneOf(emailKinds),
  state: oneOf(emailStates),
  to: sealed,
  form: text.nullable().describe('This and the next two are null for a summary, which is not about a single message.'),
  messageId: z.uuid().nullable(),
  receipt: receipt.nullable(),
  tries: z.int(),
  dueAt: time,
  failure: text
    .nullable()
    .describe(
      `Why it was not sent: ${inWords(failureReasons)}, or a value of a later release. The first three mean that it failed, the others that it was cancelled.`,
    ),
  createdAt: time,
  sentAt: time.nullable(),
  resendOf: z.uuid().nullable().describe('The sent or cancelled email that this one repeats.'),
  digest: z.boolean().describe('Whether it also names the messages beyond its form’s hourly limit on notifications.'),
  leased: z.boolean().describe('Whether it may be being sent right now.'),
});

/** An email where it is shown with its message. */
const written = email.extend({
  text: sealed.optional().describe('What an operator wrote; only for a reply to the sender.'),
});

const attempt = z.object({
  outcome: oneOf(attemptOutcomes),
  code: z.int().nullable().describe('The mail server’s status.'),
  reply: sealed.describe('The mail server’s reply.'),
  startedAt: time.nullable(),
  finishedAt: time,
});

const pageOf = (item: z.ZodType) =>
  z.object({
    items: z.array(item),
    next: text.nullable().describe('The cursor of the next page; null on the last page.'),
  });

/** The answers of the admin routes: the views in `services/views.ts`. A test compares them with real answers. */
export const adminShapes = {
  Sender: sender,
  SenderPage: pageOf(sender),
  Message: message,
  MessagePage: pageOf(message),
  MessageDetails: message.extend({
    clientAddress: sealed.describe('The network it was posted from, a /24 or /48; null after a month.'),
    noReply: text
      .nullable()
      .describe(`Why no auto-reply is sent: ${inWords(noReplyReasons)}, or a value of a later release.`),
    emails: z.array(written),
  }),
  Email: email,
  EmailPage: pageOf(email),
  EmailDetails: email.extend({ attempts: z.array(attempt) }),
  SenderSearch: z.object({ email: text.describe('Upper and lower case are equal.') }),
  SenderExport: z.object({
    exportedAt: time,
    sender: sender.nullable(),
    suppressedAt: time.nullable().describe('Since when it gets no auto-reply, because its owner asked for none.'),
    lastAutoReplyAt: time.nullable().describe('Kept while it prevents the next auto-reply.'),
    erasedAt: time.nullable().describe('When an earlier sender with this address was erased.'),
    messages: z.array(
      message.extend({
        heldAt: time.nullable(),
        clientAddress: sealed.describe('The network it was posted from, while it is kept.'),
        noReply: text.nullable().describe('Why no auto-reply is sent.'),
        textCompared: z.boolean().describe('Whether a keyed hash of the text is stored.'),
        repeats: z
          .array(z.object({ kind: z.enum(['idempotency-key', 'double-click']), storedAt: time }))
          .describe('Keyed hashes that recognise a repeat of this post for a while.'),
        emails: z.array(written.extend({ internetMessageId: text, attempts: z.array(attempt) })),
      }),
    ),
  }),
  SenderChange: z
    .object({
      blocked: z.boolean().optional().describe('Whether new messages are held.'),
      suppressed: z.boolean().optional().describe('Whether this mailbox gets no auto-reply.'),
    })
    .meta({ minProperties: 1 }),
  ResendRequest: z.object({
    again: z.boolean().optional().describe('Also resend an email that was sent or cancelled, or may have been sent.'),
  }),
  Resent: z.object({
    id: z.uuid(),
    result: z.enum(['queued', 'already-queued']),
    newId: z.uuid().nullable().describe('The new email, if the old one was sent or cancelled.'),
    code: z.null(),
    reason: text.nullable(),
  }),
};

export function adminSchemas(): Record<string, Schema> {
  return schemasOf(adminShapes);
}
