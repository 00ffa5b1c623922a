import { createHash } from 'node:crypto';
import { normaliseAddress } from '../../address.ts';
import { binaryArray } from '../../database/binary-array.ts';
import { sortLocks } from '../../database/locks.ts';
import { coarseNetwork } from '../../ip-network.ts';
import { makeReceipt, newId } from '../ids.ts';
import { newEmailIdentity } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { sealContent } from '../sealed-values.ts';
import { mailboxForLimits } from '../senders/reply-rules.ts';
import { postIdentity, repeatLock } from './find-repeats.ts';
import { repliesPerFormAndHour } from './store-statement.ts';
import type { Verdict } from './verdict.ts';

/**
 * How long several wait for a lock together, in milliseconds. It may be the lock of one of them; there must be time
 * enough left to store the others without it.
 */
const togetherLockMs = 500;

export function prepareRow(scope: Scope, verdict: Verdict, n: number) {
  const { keyring, config } = scope;
  const { content } = verdict;
  const messageId = newId();
  const senderId = newId();
  const address = normaliseAddress(content.address);
  const mailbox = mailboxForLimits(content.address);
  const addressIndex = keyring.addressIndex(address);
  const text = comparableText(content.text);
  return {
    n,
    messageId,
    senderId,
    receipt: makeReceipt(),
    formId: verdict.formId,
    formVersion: verdict.formVersion,
    status: verdict.status,
    reasons: JSON.stringify(verdict.reasons),
    content: sealContent(keyring, messageId, content),
    clientAddress:
      verdict.clientAddress === undefined
        ? null
        : keyring.seal(coarseNetwork(verdict.clientAddress), {
            table: 'messages',
            column: 'client_address',
            row: messageId,
          }),
    addressIndex,
    address: keyring.seal(content.address, { table: 'senders', column: 'address', row: senderId }),
    name:
      content.name === undefined
        ? null
        : keyring.seal(content.name, { table: 'senders', column: 'name', row: senderId }),
    replyIndex: !verdict.reply ? null : mailbox === address ? addressIndex : keyring.addressIndex(mailbox),
    reply: newEmailIdentity(config),
    textIndex: isLong(text) ? keyring.textIndex(text) : null,
    ...postIdentity(keyring, verdict.formId, content, verdict.idempotencyKey),
    captchaId: verdict.captchaUse?.id ?? null,
    captchaExpiresMs: verdict.captchaUse?.expiresAt.getTime() ?? null,
    notifications: verdict.notify.map((recipient) => ({ n, recipient, ...newEmailIdentity(config) })),
  };
}

export type Row = ReturnType<typeof prepareRow>;

/** The parameters of `storeStatement`, in its order: one array a column. */
export function bind(rows: readonly Row[]): unknown[] {
  const { bytes, floats, integers, texts, uuids } = binaryArray;
  const notifications = rows.flatMap((row) => row.notifications);
  return [
    lockKeys(rows),
    uuids(rows.map((it) => it.messageId)),
    texts(rows.map((it) => it.receipt)),
    uuids(rows.map((it) => it.formId)),
    texts(rows.map((it) => it.status)),
    texts(rows.map((it) => it.reasons)),
    bytes(rows.map((it) => it.content)),
    bytes(rows.map((it) => it.clientAddress)),
    uuids(rows.map((it) => it.senderId)),
    bytes(rows.map((it) => it.addressIndex)),
    bytes(rows.map((it) => it.address)),
    bytes(rows.map((it) => it.name)),
    bytes(rows.map((it) => it.replyIndex)),
    uuids(rows.map((it) => it.reply.id)),
    texts(rows.map((it) => it.reply.internetMessageId)),
    integers(notifications.map((it) => it.n)),
    uuids(notifications.map((it) => it.id)),
    texts(notifications.map((it) => it.recipient)),
    texts(notifications.map((it) => it.internetMessageId)),
    repliesPerFormAndHour,
    bytes(rows.map((it) => it.textIndex)),
    bytes(rows.map((it) => it.key)),
    bytes(rows.map((it) => it.fingerprint)),
    texts(rows.map((it) => it.captchaId)),
    floats(rows.map((it) => it.captchaExpiresMs)),
    texts(rows.map((it) => it.formVersion)),
    rows.length > 1 ? String(togetherLockMs) : null,
  ];
}

/**
 * What two overlapping statements could both want to change, as 64-bit numbers in one order for everybody, so
 * that they wait for each other and never in a circle.
 */
function lockKeys(rows: readonly Row[]): Buffer {
  const keys: bigint[] = [];
  for (const row of rows) {
    keys.push(row.addressIndex.readBigInt64BE(0), repeatLock(row), row.fingerprint.readBigInt64BE(8));
    if (row.captchaId !== null) keys.push(createHash('sha256').update(row.captchaId).digest().readBigInt64BE(0));
    if (row.replyIndex !== null) keys.push(row.replyIndex.readBigInt64BE(0));
  }
  return sortLocks(keys);
}
/** Short texts are the same by chance: "Hello, please call me back". In characters. */
const shortestTelling = 60;

/** Whether two people sending this very text would be a surprise. @param comparable what `comparableText` made of it. */
export function isLong(comparable: string): boolean {
  return comparable.length >= shortestTelling;
}

/** The text without what programs vary: case, white space, digits. */
export function comparableText(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[\s\d]+/g, ' ')
    .trim();
}
