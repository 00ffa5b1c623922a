import { ApiKey } from './api-key.ts';
import { Attempt } from './attempt.ts';
import { Duty } from './duty.ts';
import { Email } from './email.ts';
import { EncryptionKey } from './encryption-key.ts';
import { Erasure } from './erasure.ts';
import { Form } from './form.ts';
import { MessageKey, RecentPost, UsedCaptcha } from './guard-memory.ts';
import { ImportedRow } from './imported-row.ts';
import { MailQueue } from './mail-queue.ts';
import { Message } from './message.ts';
import { ReplyDay, ReplyHour } from './reply-limit.ts';
import { RetiredKey } from './retired-key.ts';
import { Sender } from './sender.ts';
import { Suppression } from './suppression.ts';

export * from '../words.ts';
export {
  ApiKey,
  Attempt,
  Duty,
  Email,
  EncryptionKey,
  Erasure,
  Form,
  ImportedRow,
  MailQueue,
  Message,
  MessageKey,
  RecentPost,
  ReplyDay,
  ReplyHour,
  RetiredKey,
  Sender,
  Suppression,
  UsedCaptcha,
};

export type EntityClass = new () => object;

/** Every entity, for the ORM. */
export const entities: readonly EntityClass[] = [
  Form,
  Sender,
  Message,
  Email,
  Attempt,
  EncryptionKey,
  RetiredKey,
  ReplyDay,
  ReplyHour,
  MessageKey,
  RecentPost,
  UsedCaptcha,
  Duty,
  MailQueue,
  Suppression,
  ApiKey,
  Erasure,
  ImportedRow,
];
