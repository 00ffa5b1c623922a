import { defineEntity, p } from '@mikro-orm/core';
import { emailKinds, emailStates, type FailureReason, failureReasons } from '../words.ts';
import { Message } from './message.ts';
import { Sender } from './sender.ts';

const EmailSchema = defineEntity({
  name: 'Email',
  tableName: 'emails',
  properties: {
    /** UUIDv7. */
    id: p.uuid().primary(),
    kind: p.enum(emailKinds),
    state: p.enum(emailStates),
    /** Empty for a summary. */
    message: () => p.manyToOne(Message).nullable().deleteRule('cascade'),
    /** An owner's address; empty for an auto-reply and a reply, which go to `sender`. */
    recipient: p.text().nullable(),
    /** The sender an auto-reply or a reply goes to; empty for other kinds, and for an owner's copy of a reply. */
    sender: () => p.manyToOne(Sender).nullable().deleteRule('cascade'),
    /** When the next attempt may begin, by the database's clock; while leased, when the lease ends. */
    dueAt: p.datetime(3),
    /** The token of the one worker that may settle this email; a worker with another token changes nothing. */
    leaseToken: p.uuid().nullable(),
    /** For an auto-reply or a reply: equal to the lease token until its text is about to be handed over. */
    unsentToken: p.uuid().nullable(),
    /** Attempts so far, without attempts that met a broken mail transport or no mail server. */
    tries: p.smallint().default(0),
    failure: p.enum(failureReasons).nullable(),
    /** Message-ID header (RFC 5322 §3.6.4), the same at every attempt so that receivers can drop a second copy. */
    internetMessageId: p.text(),
    createdAt: p.datetime(3),
    /** When an operator last queued or released it again, with a new retry schedule; empty for the first schedule. */
    requeuedAt: p.datetime(3).nullable(),
    sentAt: p.datetime(3).nullable(),
    /** The sent or cancelled email that an operator asked to send again. */
    resendOf: () => p.manyToOne(Email).nullable(),
    /** A summary lists the messages held after this time; empty for a recipient's first one. */
    coversAfter: p.datetime(3).nullable(),
    /** … and up to this time; empty for other kinds. */
    coversUntil: p.datetime(3).nullable(),
    /** What an operator wrote, encrypted; only for a reply. */
    content: p.blob().nullable(),
    /** The same for a digest and all notifications that it replaces: see `services/digest.ts`. */
    digestId: p.uuid().nullable(),
  },
  indexes: [
    { properties: ['dueAt'], where: "state = 'queued'", name: 'emails_due_index' },
    { properties: ['state', 'id'] },
    { properties: ['kind', 'id'] },
    { properties: ['message'] },
    { properties: ['sender'], where: 'sender_id is not null', name: 'emails_sender_index' },
    { properties: ['resendOf'], where: 'resend_of_id is not null', name: 'emails_resend_of_index' },
    { properties: ['digestId'], where: 'digest_id is not null', name: 'emails_digest_index' },
  ],
  checks: [
    { name: 'emails_one_recipient', expression: 'num_nonnulls(recipient, sender_id) = 1' },
    { name: 'emails_about_a_message', expression: "kind = 'held-summary' or message_id is not null" },
  ],
});

/** One outgoing mail to one recipient. The row is the job: there is no second queue table. */
export class Email extends EmailSchema.class {
  /** Whether a worker may be sending this right now. `now` is the database's time. */
  isLeased(now: Date): boolean {
    return this.leaseToken != null && this.dueAt > now;
  }

  /** Whether nobody knows if a worker that had it, and may be dead, has sent it. */
  isUncertain(): boolean {
    return this.leaseToken != null && this.unsentToken !== this.leaseToken;
  }

  /** Start of the retry schedule, and the Date header of every attempt. */
  scheduledAt(): Date {
    return this.requeuedAt ?? this.createdAt;
  }

  /** Whether it is a notification that lists other messages too. */
  isDigest(): boolean {
    return this.digestId != null && !this.isNamedOnly();
  }

  /** Whether a digest names its message instead. */
  isNamedOnly(): boolean {
    return this.state === 'cancelled' && this.failure === 'digest';
  }

  /**
   * Queues the email with a new retry schedule and the current Date, because mail programs sort an old date out of sight.
   * The Message-ID stays, so that a receiver who already has it drops the second copy.
   */
  queueAgain(now: Date): void {
    this.state = 'queued';
    this.requeuedAt = now;
    this.failure = null;
    this.leaseToken = null;
    this.tries = 0;
    this.dueAt = now;
  }

  /** Holds the email with its message, alone. A worker that claimed it before loses its lease. */
  hold(): void {
    this.state = 'held';
    this.failure = null;
    this.digestId = null;
    this.leaseToken = null;
  }

  /** Until an operator resends it. */
  giveUp(failure: FailureReason): void {
    this.state = 'failed';
    this.failure = failure;
    this.leaseToken = null;
  }

  /** Cancels the email for good. The reason for an earlier failure stays. */
  cancel(): void {
    this.state = 'cancelled';
    this.leaseToken = null;
  }
}

EmailSchema.setClass(Email);
