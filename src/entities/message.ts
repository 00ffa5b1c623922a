import { defineEntity, p } from '@mikro-orm/core';
import { messageStatuses, type NoReplyReason } from '../words.ts';
import { Form } from './form.ts';
import { Sender } from './sender.ts';

const MessageSchema = defineEntity({
  name: 'Message',
  tableName: 'messages',
  properties: {
    /** UUIDv7, so that the order of ids is the order of arrival. */
    id: p.uuid().primary(),
    /** `RW-` and ten Crockford base-32 characters: the reference that visitor, owner, log and operator all see. */
    receipt: p.string().length(13).unique(),
    form: () => p.manyToOne(Form),
    /** Empty if no address was given. Read by a query of its own, since a join would leave these messages out. */
    sender: () => p.manyToOne(Sender).nullable().deleteRule('no action').strategy('select-in'),
    status: p.enum(messageStatuses),
    /** Why the message is held; empty for an accepted one. */
    reasons: p.array().columnType('text[]').defaultRaw("'{}'"),
    /** Encrypted JSON of what was posted: see `services/sealed-values.ts`. */
    content: p.blob(),
    /** Keyed hash of a long text, to notice the same text from many addresses; empty for a short one. */
    textIndex: p.blob().nullable(),
    /** Encrypted network that the message came from; emptied after 30 days. */
    clientAddress: p.blob().nullable(),
    receivedAt: p.datetime(3),
    /** When an operator held the message; empty for one that was held at its arrival. */
    heldAt: p.datetime(3).nullable(),
    /** When a held message's owner was told about it; only then may retention delete it. Holding and releasing clear it. */
    toldAt: p.datetime(3).nullable(),
    /** Why the sender gets no auto-reply; empty if one was queued, and for a message of release 0.2.0. */
    noReply: p.text().$type<NoReplyReason>().nullable(),
    /** Keyed hashes, as hex, of the addresses in its form's other fields of type `email`: erasing finds it by them. */
    otherAddresses: p.array().columnType('text[]').nullable(),
  },
  indexes: [
    { properties: ['sender', 'id'] },
    { properties: ['form', 'id'] },
    { properties: ['status', 'id'] },
    { properties: ['textIndex', 'receivedAt'], where: 'text_index is not null', name: 'messages_text_index' },
    {
      properties: ['otherAddresses'],
      type: 'gin',
      where: 'other_addresses is not null',
      name: 'messages_other_addresses_index',
    },
    { properties: ['id'], where: 'client_address is not null', name: 'messages_client_address_index' },
  ],
});

/** A stored post to one form, from one sender if an address was given. */
export class Message extends MessageSchema.class {
  /** For a held message. The same in SQL: `heldSince` in `held-summary.ts`. */
  heldSince(): Date {
    return this.heldAt ?? this.receivedAt;
  }

  hold(reason: string, now: Date): void {
    this.status = 'held';
    this.heldAt = now;
    this.toldAt = null;
    this.reasons = [reason];
  }

  release(): void {
    this.status = 'accepted';
    this.heldAt = null;
    this.toldAt = null;
    this.reasons = [];
  }
}

MessageSchema.setClass(Message);
