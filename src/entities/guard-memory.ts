import { defineEntity, p } from '@mikro-orm/core';
import { Form } from './form.ts';
import { Message } from './message.ts';

const MessageKeySchema = defineEntity({
  name: 'MessageKey',
  tableName: 'message_keys',
  properties: {
    form: () => p.manyToOne(Form).primary(),
    /** Keyed hash of the `Idempotency-Key` header. */
    key: p.blob().primary(),
    /** Keyed hash of what was posted under it. */
    fingerprint: p.blob(),
    message: () => p.manyToOne(Message).deleteRule('cascade'),
    storedAt: p.datetime(3),
  },
  indexes: [{ properties: ['storedAt'] }, { properties: ['message'] }],
});

/** An idempotency key and the message it stands for, for 24 hours. */
export class MessageKey extends MessageKeySchema.class {}

MessageKeySchema.setClass(MessageKey);

const RecentPostSchema = defineEntity({
  name: 'RecentPost',
  tableName: 'recent_posts',
  properties: {
    /** Keyed hash of the form and of everything that is stored about the post. */
    fingerprint: p.blob().primary(),
    message: () => p.manyToOne(Message).deleteRule('cascade'),
    storedAt: p.datetime(3),
  },
  indexes: [{ properties: ['storedAt'] }, { properties: ['message'] }],
});

/** A post without an idempotency key: for ten minutes, the same post again counts as a double click. */
export class RecentPost extends RecentPostSchema.class {}

RecentPostSchema.setClass(RecentPost);

const UsedCaptchaSchema = defineEntity({
  name: 'UsedCaptcha',
  tableName: 'used_captchas',
  properties: {
    /** The challenge's own random number. */
    id: p.string().length(128).primary(),
    /** After this the challenge is refused anyway, as too old. */
    expiresAt: p.datetime(3),
  },
  indexes: [{ properties: ['expiresAt'] }],
});

/** A solved captcha that a message was stored with. It cannot be used again. */
export class UsedCaptcha extends UsedCaptchaSchema.class {}

UsedCaptchaSchema.setClass(UsedCaptcha);
