import type { Message } from '../entities/index.ts';
import type { Keyring } from '../privacy/keyring.ts';
import type { SealedPlace } from '../privacy/sealed-columns.ts';

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
