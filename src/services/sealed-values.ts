import type { Message } from '../entities/index.ts';
import type { Keyring } from '../privacy/keyring.ts';
import type { SealedPlace } from '../privacy/sealed-columns.ts';
import { SealBroken } from '../privacy/sealing.ts';

/** What a visitor wrote. It is sealed as one JSON text, so that every character comes back as it was posted. */
export interface MessageContent {
  address: string;
  name?: string;
  subject?: string;
  text: string;
  /** Further fields, in the order they were posted. */
  extra: [name: string, value: string][];
}

export function sealContent(keyring: Keyring, messageId: string, content: MessageContent): Buffer {
  return keyring.seal(JSON.stringify(content), contentPlace(messageId));
}

/** @throws {SealBroken} */
export function openContent(keyring: Keyring, message: Pick<Message, 'id' | 'content'>): MessageContent {
  // What was sealed is what `sealContent` wrote: the seal vouches for it.
  return JSON.parse(keyring.open(message.content, contentPlace(message.id))) as MessageContent;
}

function contentPlace(messageId: string): SealedPlace {
  return { table: 'messages', column: 'content', row: messageId };
}

/** The network that a message was posted from; null where it is not kept, or its seal does not open. */
export function openClientAddress(keyring: Keyring, { id, clientAddress }: Message): string | null {
  if (clientAddress == null) return null;
  return openOrNull(() => keyring.open(clientAddress, { table: 'messages', column: 'client_address', row: id }));
}

/** Where an attempt's sealed reply stands. */
export function replyPlace(attemptId: string): SealedPlace {
  return { table: 'attempts', column: 'reply', row: attemptId };
}

/**
 * What a seal holds, or null where it does not open: one value whose key is gone must not hide the rest of a
 * list.
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
