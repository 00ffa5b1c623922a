import { normaliseAddress } from '../../address.ts';
import { Sender } from '../../entities/index.ts';
import type { Scope } from '../scope.ts';
import { openOrNull, openSenderAddress } from '../sealed-values.ts';
import { mailboxForLimits } from './reply-rules.ts';
import { findSender, readSenderAddress, type SenderChoice } from './senders.ts';

/** A person that we may store something about, even if there is no sender any more. */
export interface Person {
  sender: Sender | null;
  /** Null if it cannot be decrypted. */
  address: string | null;
  addressIndex: Buffer;
  /** Keyed hash of the mailbox, which auto-replies are counted by. Null if the address cannot be decrypted. */
  mailboxIndex: Buffer | null;
}

/** @throws {Problem} sender-unknown for an unknown id, argument-invalid for a malformed address. */
export async function findPerson(scope: Scope, which: SenderChoice): Promise<Person> {
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
