import { normaliseAddress } from '../address.ts';
import type { Message } from '../entities/index.ts';
import type { Keyring } from '../privacy/keyring.ts';
import type { SealedPlace } from '../privacy/sealed-columns.ts';
import { SealBroken } from '../privacy/sealing.ts';
import type { Language } from '../words.ts';

/** What a visitor wrote. It is encrypted as one JSON text, so every character comes back as it was posted. */
export interface MessageContent {
  address?: string;
  name?: string;
  subject?: string;
  /** Empty if there was no message. */
  text: string;
  /** Further fields, in the order they were posted. */
  extra: [name: string, value: string][];
  /** Of the page, if the form follows it. */
  language?: Language;
}

export function sealContent(keyring: Keyring, messageId: string, content: MessageContent): Buffer {
  return keyring.seal(JSON.stringify(content), contentPlace(messageId));
}

/** A message with its sender, who must have been loaded if there is one. */
export interface SealedMessage {
  id: string;
  content: Uint8Array;
  sender?: { id: string; address: Uint8Array } | null | undefined;
}

/**
 * The seal is bound to the message's row, but the link to its sender is a plain column: somebody who can write to the
 * database could move a message into another person's export.
 *
 * @throws {SealBroken} also if the sender's address is not the one in the content.
 */
export function openContent(keyring: Keyring, { id, content, sender }: SealedMessage): MessageContent {
  // The encryption is authenticated: this is what `sealContent` wrote.
  const opened = JSON.parse(keyring.open(content, contentPlace(id))) as MessageContent;
  const address = sender && openOrNull(() => openSenderAddress(keyring, sender));
  // An address whose key is missing must not hide the message.
  if (address == null || normaliseAddress(address) === normaliseAddress(opened.address ?? '')) return opened;
  throw new SealBroken(`message ${id} is linked to a sender with another address`);
}

function contentPlace(messageId: string): SealedPlace {
  return { table: 'messages', column: 'content', row: messageId };
}

/** The network that a message was posted from; null if it is no longer stored or cannot be decrypted. */
export function openClientAddress(keyring: Keyring, { id, clientAddress }: Message): string | null {
  if (clientAddress == null) return null;
  return openOrNull(() => keyring.open(clientAddress, { table: 'messages', column: 'client_address', row: id }));
}

/** Encrypts what an operator wrote, for the row of a reply. */
export function sealReply(keyring: Keyring, emailId: string, text: string): Buffer {
  return keyring.seal(text, { table: 'emails', column: 'content', row: emailId });
}

/** What an operator wrote; null for an email of another kind. @throws {SealBroken} */
export function openReply(
  keyring: Keyring,
  { id, content }: { id: string; content?: Uint8Array | null | undefined },
): string | null {
  return content == null ? null : keyring.open(content, { table: 'emails', column: 'content', row: id });
}

/** Where an attempt's encrypted reply is stored. */
export function replyPlace(attemptId: string, table: 'attempts' | 'hook_attempts' = 'attempts'): SealedPlace {
  return { table, column: 'reply', row: attemptId };
}

/**
 * The decrypted value, or null if it cannot be decrypted: one value whose key is missing must not hide the rest of a list.
 */
export function openOrNull<T>(open: () => T): T | null {
  try {
    return open();
  } catch (error) {
    if (error instanceof SealBroken) return null;
    throw error;
  }
}

/** @throws {SealBroken} */
export function openSenderAddress(keyring: Keyring, sender: { id: string; address: Uint8Array }): string {
  return keyring.open(sender.address, { table: 'senders', column: 'address', row: sender.id });
}

/** @throws {SealBroken} */
export function openSenderName(keyring: Keyring, sender: { id: string; name?: Uint8Array | null }): string | undefined {
  if (sender.name == null) return undefined;
  return keyring.open(sender.name, { table: 'senders', column: 'name', row: sender.id });
}
