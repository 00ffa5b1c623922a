import type { EntitySchema } from '@mikro-orm/core';
import { ApiKey } from './api-key.ts';
import { Attempt } from './attempt.ts';
import { Email } from './email.ts';
import { EncryptionKey, RetiredKey } from './encryption-key.ts';
import { Form } from './form.ts';
import { MessageKey, NotifyHour, RecentPost, ReplyDay, ReplyHour, ReplyLimit, UsedCaptcha } from './guard-memory.ts';
import { Hook, HookAttempt, HookDelivery } from './hook.ts';
import { Erasure, ImportedRow, Suppression } from './kept-after-erasure.ts';
import { Message } from './message.ts';
import { Sender } from './sender.ts';
import { Alert, Duty, MailQueue } from './shared-state.ts';

export type { FormField, FormRoute, FormWords } from './form.ts';
export {
  Alert,
  ApiKey,
  Attempt,
  Duty,
  Email,
  Erasure,
  Form,
  Hook,
  HookAttempt,
  HookDelivery,
  MailQueue,
  Message,
  MessageKey,
  RecentPost,
  ReplyDay,
  Sender,
  Suppression,
};

/** The tables as the ORM sees them. Those without methods are plain definitions. */
export type EntityClass = EntitySchema | (new () => object);

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
  ReplyLimit,
  NotifyHour,
  MessageKey,
  RecentPost,
  UsedCaptcha,
  Duty,
  MailQueue,
  Suppression,
  ApiKey,
  Erasure,
  ImportedRow,
  Hook,
  HookDelivery,
  HookAttempt,
  Alert,
];
