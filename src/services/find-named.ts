// How operators name a message or a person: by an id, a receipt as people type it, an address, or `latest`.

import { validate as isUuid } from 'uuid';
import { normaliseAddress, readAddress } from '../address.ts';
import { Message, Sender } from '../entities/index.ts';
import { Problem } from '../problems.ts';
import { readTypedReceipt } from './ids.ts';
import type { Scope } from './scope.ts';

/**
 * The message that this name means; for an address, the only one from there.
 *
 * @throws {Problem} message-unknown, argument-invalid for a malformed address.
 */
export async function findNamedMessage(scope: Scope, name: string): Promise<Message> {
  const message = name.includes('@') ? await findOnlyMessage(scope, name.trim()) : await lookUpMessage(scope, name);
  if (message !== null) return message;
  throw new Problem(
    'message-unknown',
    isLatest(name) ? 'no message has been stored yet' : `there is no message ${name}`,
    { searchable: /^[\p{L}\p{M} ]+$/u.test(name) && !isLatest(name) ? name : undefined },
  );
}

/**
 * A sender's id, or an address, of which we may store nothing. A message stands for its sender.
 *
 * @throws {Problem} sender-unknown, message-unknown
 */
export async function findNamedSender(scope: Scope, name: string): Promise<{ id: string } | { email: string }> {
  const text = name.trim();
  if (text.includes('@')) return { email: text };
  if (isUuid(text) && (await scope.em.count(Sender, { id: text })) > 0) return { id: text };
  const message = isMessageName(text) ? await findNamedMessage(scope, text) : await lookUpMessage(scope, text);
  if (message === null) throw new Problem('sender-unknown', `there is no sender ${name}`);
  const { sender } = message;
  if (sender == null) throw new Problem('sender-unknown', `message ${message.receipt} has no sender`);
  return { id: sender.id };
}

/** Whether a text can be nothing else than the name of a message, or of its sender. Ids can be anything's. */
export function isMessageName(text: string): boolean {
  return text.includes('@') || isLatest(text) || readTypedReceipt(text) !== undefined;
}

/** @returns null if it is no id or receipt of a message. */
export async function lookUpMessage(scope: Scope, name: string): Promise<Message | null> {
  const text = name.trim();
  const receipt = readTypedReceipt(text);
  const where = isLatest(text) ? {} : isUuid(text) ? { id: text } : receipt === undefined ? null : { receipt };
  if (where === null) return null;
  return (await scope.em.find(Message, where, { orderBy: { id: 'desc' }, limit: 1, refresh: true }))[0] ?? null;
}

async function findOnlyMessage(scope: Scope, text: string): Promise<Message> {
  const address = readAddress(text);
  if (address === undefined) throw new Problem('argument-invalid', `"${text}" is not an e-mail address`);
  const sender = { addressIndex: scope.keyring.addressIndex(normaliseAddress(address)) };
  const [message, ...others] = await scope.em.find(Message, { sender }, { refresh: true, limit: 2 });
  if (message === undefined) throw new Problem('message-unknown', `there is no message from ${address}`);
  if (others.length === 0) return message;
  throw new Problem('message-unknown', `${address} wrote several messages, so name one by its receipt`, {
    searchable: address,
  });
}

function isLatest(name: string): boolean {
  return name.trim().toLowerCase() === 'latest';
}
