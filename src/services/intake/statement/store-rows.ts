import { createHash } from 'node:crypto';
import { normaliseAddress } from '../../../address.ts';
import { columns } from '../../../database/columns.ts';
import { sortLocks } from '../../../database/locks.ts';
import { coarseNetwork } from '../../../network/ip-network.ts';
import type { Keyring } from '../../../privacy/keyring.ts';
import { makeReceipt, newId } from '../../ids.ts';
import { newEmailIdentity } from '../../outbox.ts';
import type { Scope } from '../../scope.ts';
import { sealContent } from '../../sealed-values.ts';
import { domainForLimits, mailboxesForLimits } from '../../senders/mailboxes.ts';
import { postIdentity, repeatLock } from '../find-repeats.ts';
import type { Verdict } from '../verdict.ts';

/** Max wait for a lock of a statement with several posts, in milliseconds. Then there is time to store each post alone. */
const sharedLockMs = 500;

/** In characters. Many people send the same short text ("Hello, please call me back"), so only longer ones are compared. */
const minTellingText = 60;

/** One row for each post. The statement has two other parameters before these columns. */
export const posts = columns(
  {
    form_id: 'uuid',
    form_version: 'text',
    message_id: 'uuid',
    key: 'bytea',
    fingerprint: 'bytea',
    captcha_id: 'text',
    captcha_expires_ms: 'float8',
    sender_id: 'uuid',
    address_index: 'bytea',
    address: 'bytea',
    name: 'bytea',
    receipt: 'text',
    status: 'text',
    reasons: 'text',
    content: 'bytea',
    text_index: 'bytea',
    other_addresses: 'text',
    client_address: 'bytea',
    no_reply: 'text',
    notify_limit: 'int',
  },
  3,
);

/** One row for each notification; `post` is the `n` of its post. */
export const notices = columns({ post: 'int', id: 'uuid', recipient: 'text', internet_message_id: 'text' }, posts.next);

/** One row for each post that may get an auto-reply. These parameters are the last ones, and are left out if there is none. */
export const replies = columns(
  {
    post: 'int',
    reply_index: 'bytea',
    former_index: 'bytea',
    network: 'bytea',
    domain: 'bytea',
    network_place: 'int',
    domain_place: 'int',
    reply_id: 'uuid',
    internet_message_id: 'text',
  },
  notices.next,
);

/** Everything about one post that is stored, by the names of the columns. */
export function prepareRow(scope: Scope, verdict: Verdict, n: number) {
  const { keyring, config } = scope;
  const { content, clientAddress, captchaUse } = verdict;
  const messageId = newId();
  const sender = content.address === undefined ? noSender : prepareSender(keyring, content.address, content.name);
  const text = comparableText(content.text);
  return {
    n,
    form_id: verdict.formId,
    form_version: verdict.formVersion,
    message_id: messageId,
    ...postIdentity(keyring, verdict.formId, content, verdict.idempotencyKey),
    captcha_id: captchaUse?.id ?? null,
    captcha_expires_ms: captchaUse?.expiresAt.getTime() ?? null,
    ...sender,
    receipt: makeReceipt(),
    status: verdict.status,
    reasons: verdict.reasons.join(','),
    content: sealContent(keyring, messageId, content),
    other_addresses:
      verdict.otherAddresses.map((it) => keyring.addressIndex(normaliseAddress(it)).toString('hex')).join(',') || null,
    text_index: text.length < minTellingText ? null : keyring.textIndex(text),
    client_address:
      clientAddress === undefined
        ? null
        : keyring.seal(coarseNetwork(clientAddress), { table: 'messages', column: 'client_address', row: messageId }),
    no_reply: verdict.noReply ?? null,
    notify_limit: verdict.notifyLimit,
    notices: verdict.notify.map((recipient) => {
      const { id, internetMessageId } = newEmailIdentity(config);
      return { post: n, id, recipient, internet_message_id: internetMessageId };
    }),
    replies:
      verdict.noReply === undefined && verdict.status === 'accepted' && content.address !== undefined
        ? [prepareReply(scope, content.address, verdict.clientAddress, n)]
        : [],
  };
}

/** A message without an address has no sender. */
const noSender = { sender_id: null, address_index: null, address: null, name: null };

function prepareSender(keyring: Keyring, address: string, name: string | undefined) {
  const id = newId();
  return {
    sender_id: id,
    address_index: keyring.addressIndex(normaliseAddress(address)),
    address: keyring.seal(address, { table: 'senders', column: 'address', row: id }),
    name: name === undefined ? null : keyring.seal(name, { table: 'senders', column: 'name', row: id }),
  };
}

/** An auto-reply with keyed hashes of all that it is counted by. */
function prepareReply({ keyring, config }: Scope, address: string, clientAddress: string | undefined, post: number) {
  const [mailbox, formerMailbox] = mailboxesForLimits(normaliseAddress(address));
  const domain = domainForLimits(mailbox);
  const { id, internetMessageId } = newEmailIdentity(config);
  return {
    post,
    reply_index: keyring.addressIndex(mailbox),
    former_index: formerMailbox === undefined ? null : keyring.addressIndex(formerMailbox),
    network: clientAddress === undefined ? null : keyring.limitIndex(`replies ${coarseNetwork(clientAddress)}`),
    domain: domain === undefined ? null : keyring.limitIndex(`replies @${domain}`),
    reply_id: id,
    internet_message_id: internetMessageId,
  };
}

export type Row = ReturnType<typeof prepareRow>;

/** The parameters of the storing statement. */
export function bind(rows: readonly Row[]): unknown[] {
  const asked = rows.flatMap((row) => row.replies);
  const placeIn = createCounter();
  const placed = asked.map((it) => ({ ...it, network_place: placeIn(it.network), domain_place: placeIn(it.domain) }));
  return [
    rows.length > 1 ? String(sharedLockMs) : null,
    lockKeys(rows),
    ...posts.values(rows),
    ...notices.values(rows.flatMap((row) => row.notices)),
    ...(asked.length > 0 ? replies.values(placed) : []),
  ];
}

/** Counts how often it was called for each key. */
function createCounter(): (key: Buffer | null) => number {
  const counts = new Map<string, number>();
  return (key) => {
    const text = key?.toString('latin1') ?? '';
    const count = text === '' ? 0 : (counts.get(text) ?? 0) + 1;
    counts.set(text, count);
    return count;
  };
}

/** Locks, as 64-bit numbers, for everything that two statements could both change. Sorted, so that they never deadlock. */
function lockKeys(rows: readonly Row[]): Buffer {
  const keys: bigint[] = [];
  for (const row of rows) {
    keys.push(repeatLock(row), row.fingerprint.readBigInt64BE(8));
    if (row.address_index !== null) keys.push(row.address_index.readBigInt64BE(0));
    // An erasure takes the lock of one address, and finds messages by any of theirs.
    for (const index of row.other_addresses?.split(',') ?? [])
      keys.push(BigInt.asIntN(64, BigInt(`0x${index.slice(0, 16)}`)));
    if (row.captcha_id !== null) keys.push(createHash('sha256').update(row.captcha_id).digest().readBigInt64BE(0));
    for (const reply of row.replies) keys.push(reply.reply_index.readBigInt64BE(0));
  }
  return sortLocks(keys);
}

/** Ignores what spam programs vary: case, white space and digits. */
function comparableText(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[\s\d]+/g, ' ')
    .trim();
}
