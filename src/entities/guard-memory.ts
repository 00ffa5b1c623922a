import { defineEntity, p } from '@mikro-orm/core';
import { Form } from './form.ts';
import { Message } from './message.ts';

/** An idempotency key and the message stored under it, for 24 hours. */
export const MessageKey = defineEntity({
  name: 'MessageKey',
  tableName: 'message_keys',
  properties: {
    form: () => p.manyToOne(Form).primary(),
    /** Keyed hash of the `Idempotency-Key` header. */
    key: p.blob().primary(),
    /** Keyed hash of the post that used the key. */
    fingerprint: p.blob(),
    message: () => p.manyToOne(Message).deleteRule('cascade'),
    storedAt: p.datetime(3),
  },
  indexes: [{ properties: ['storedAt'] }, { properties: ['message'] }],
});

/** A post without an idempotency key: for ten minutes, the same post again counts as a double click. */
export const RecentPost = defineEntity({
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

/** A solved captcha that a message was stored with. It cannot be used again. */
export const UsedCaptcha = defineEntity({
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

/** When an address last got an auto-reply: at most one a day for all forms together. */
export const ReplyDay = defineEntity({
  name: 'ReplyDay',
  tableName: 'reply_days',
  properties: {
    /** Blind index of the address, so that the limit also holds while there is no sender row. */
    addressIndex: p.blob().primary(),
    repliedAt: p.datetime(3),
  },
});

/** How many auto-replies a form has queued in one clock hour. */
export const ReplyHour = defineEntity({
  name: 'ReplyHour',
  tableName: 'reply_hours',
  properties: {
    form: () => p.manyToOne(Form).primary(),
    hour: p.datetime(0).primary(),
    replies: p.integer(),
  },
});

/** How many auto-replies went to one client network, or to one recipient domain, in one clock hour. */
export const ReplyLimit = defineEntity({
  name: 'ReplyLimit',
  tableName: 'reply_limits',
  properties: {
    /** Keyed hash of the network or domain. */
    key: p.blob().primary(),
    hour: p.datetime(0).primary(),
    replies: p.integer(),
  },
});

/** How many notifications about a form's messages one owner got, or would have got, in one clock hour. */
export const NotifyHour = defineEntity({
  name: 'NotifyHour',
  tableName: 'notify_hours',
  properties: {
    form: () => p.manyToOne(Form).primary(),
    hour: p.datetime(0).primary(),
    recipient: p.text().primary(),
    notifications: p.integer(),
    /** The limit when the last one was counted. */
    notifyLimit: p.integer(),
    /** Beyond the limit: the digest that further messages of this hour join; empty after it was closed. */
    digestId: p.uuid().nullable(),
  },
});
