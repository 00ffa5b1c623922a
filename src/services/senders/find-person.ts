import { normaliseAddress } from '../../address.ts';
import { Sender } from '../../entities/index.ts';
import type { Scope } from '../scope.ts';
import { openOrNull, openSenderAddress } from '../sealed-values.ts';
import { mailboxForLimits } from './reply-rules.ts';
import { findSender, readSenderAddress } from './senders.ts';

/** Whom something may be held about, whether or not there is a sender. */
export interface Person {
  sender: Sender | null;
  /** Null where its seal does not open. */
  address: string | null;
  addressIndex: Buffer;
  /** That of the mailbox, which auto-replies are counted by; null where the address does not open. */
  mailboxIndex: Buffer | null;
}

/** @throws {Problem} sender-unknown for an id that is none, argument-invalid for what cannot be an address. */
export async function findPerson(scope: Scope, which: { id: string } | { email: string }): Promise<Person> {
  const { keyring, em } = scope;
  if ('id' in which) {
    const sender = await findSender(scope, which);
    const address = openOrNull(() => openSenderAddress(keyring, sender));
    const mailboxIndex = address === null ? null : keyring.addressIndex(mailboxForLimits(address));
    return { sender, address, addressIndex: Buffer.from(sender.addressIndex), mailboxIndex };
  }
  const address = readSenderAddress(which.email);
  const addressIndex = keyring.addressIndex(normaliseAddress(address));
  const mailboxIndex = keyring.addressIndex(mailboxForLimits(address));
  return { sender: await em.findOne(Sender, { addressIndex }), address, addressIndex, mailboxIndex };
}
