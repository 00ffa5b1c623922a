import { normaliseAddress } from '../../address.ts';
import { Sender } from '../../entities/index.ts';
import type { Scope } from '../scope.ts';
import { openOrNull, openSenderAddress } from '../sealed-values.ts';
import { findSender, readSenderAddress, type SenderChoice } from './senders.ts';
import { mailboxIndexes } from './suppressions.ts';

/** A person that we may store something about, even if there is no sender any more. */
export interface Person {
  sender: Sender | null;
  /** Null if it cannot be decrypted. */
  address: string | null;
  addressIndex: Buffer;
  /** Keyed hashes of the mailbox: auto-replies are counted by the first. Empty if the address cannot be decrypted. */
  mailboxes: Buffer[];
}

/** SQL: the ids of the messages from an address, and of those with it in another field. Parameters: its index, twice, the second time as hex. */
export const messagesWithAddress = `
  select messages.id from messages join senders on senders.id = sender_id where address_index = ?
  union select id from messages where other_addresses @> array[?]`;

/** @throws {Problem} sender-unknown for an unknown id, argument-invalid for a malformed address. */
export async function findPerson(scope: Scope, which: SenderChoice): Promise<Person> {
  const { keyring, em } = scope;
  if ('id' in which) {
    const sender = await findSender(scope, which);
    const address = openOrNull(() => openSenderAddress(keyring, sender));
    const mailboxes = address === null ? [] : mailboxIndexes(keyring, address);
    return { sender, address, addressIndex: Buffer.from(sender.addressIndex), mailboxes };
  }
  const address = readSenderAddress(which.email);
  const addressIndex = keyring.addressIndex(normaliseAddress(address));
  const mailboxes = mailboxIndexes(keyring, address);
  return { sender: await em.findOne(Sender, { addressIndex }), address, addressIndex, mailboxes };
}
