import { createHash } from 'node:crypto';
import { normaliseAddress } from '../../address.ts';
import { columns } from '../../database/columns.ts';
import { sortLocks } from '../../database/locks.ts';
import { coarseNetwork } from '../../ip-network.ts';
import { makeReceipt, newId } from '../ids.ts';
import { newEmailIdentity } from '../outbox.ts';
import type { Scope } from '../scope.ts';
import { sealContent } from '../sealed-values.ts';
import { mailboxForLimits } from '../senders/reply-rules.ts';
import { postIdentity, repeatLock } from './find-repeats.ts';
import type { Verdict } from './verdict.ts';

/** Max auto-replies for one form in one hour of the clock. */
export const repliesPerFormAndHour = 100;

/** Max wait for a lock of a statement with several posts, in milliseconds. Then there is time to store each post alone. */
const sharedLockMs = 500;

/** In characters. Many people send the same short text ("Hello, please call me back"), so only longer ones are compared. */
const minTellingText = 60;

/** One row for each post. The statement has three other parameters before these columns. */
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
    client_address: 'bytea',
    reply_index: 'bytea',
    reply_id: 'uuid',
    reply_internet_message_id: 'text',
  },
  4,
);

/** One row for each notification; `post` is the `n` of its post. */
export const notices = columns({ post: 'int', id: 'uuid', recipient: 'text', internet_message_id: 'text' }, posts.next);

/** Everything about one post that is stored, by the names of the columns. */
export function prepareRow(scope: Scope, verdict: Verdict, n: number) {
  const { keyring, config } = scope;
  const { content, clientAddress, captchaUse } = verdict;
  const messageId = newId();
  const senderId = newId();
  const address = normaliseAddress(content.address);
  const addressIndex = keyring.addressIndex(address);
  const mailbox = mailboxForLimits(content.address);
  const text = comparableText(content.text);
  const reply = newEmailIdentity(config);
  return {
    n,
    form_id: verdict.formId,
    form_version: verdict.formVersion,
    message_id: messageId,
    ...postIdentity(keyring, verdict.formId, content, verdict.idempotencyKey),
    captcha_id: captchaUse?.id ?? null,
    captcha_expires_ms: captchaUse?.expiresAt.getTime() ?? null,
    sender_id: senderId,
    address_index: addressIndex,
    address: keyring.seal(content.address, { table: 'senders', column: 'address', row: senderId }),
    name:
      content.name === undefined
        ? null
        : keyring.seal(content.name, { table: 'senders', column: 'name', row: senderId }),
    receipt: makeReceipt(),
    status: verdict.status,
    reasons: verdict.reasons.join(','),
    content: sealContent(keyring, messageId, content),
    text_index: text.length < minTellingText ? null : keyring.textIndex(text),
    client_address:
      clientAddress === undefined
        ? null
        : keyring.seal(coarseNetwork(clientAddress), { table: 'messages', column: 'client_address', row: messageId }),
    reply_index: !verdict.reply ? null : mailbox === address ? addressIndex : keyring.addressIndex(mailbox),
    reply_id: reply.id,
    reply_internet_message_id: reply.internetMessageId,
    notices: verdict.notify.map((recipient) => {
      const { id, internetMessageId } = newEmailIdentity(config);
      return { post: n, id, recipient, internet_message_id: internetMessageId };
    }),
  };
}

export type Row = ReturnType<typeof prepareRow>;

/** The parameters of `storeStatement`. */
export function bind(rows: readonly Row[]): unknown[] {
  return [
    rows.length > 1 ? String(sharedLockMs) : null,
    lockKeys(rows),
    repliesPerFormAndHour,
    ...posts.values(rows),
    ...notices.values(rows.flatMap((row) => row.notices)),
  ];
}

/** Locks, as 64-bit numbers, for everything that two statements could both change. Sorted, so that they never deadlock. */
function lockKeys(rows: readonly Row[]): Buffer {
  const keys: bigint[] = [];
  for (const row of rows) {
    keys.push(row.address_index.readBigInt64BE(0), repeatLock(row), row.fingerprint.readBigInt64BE(8));
    if (row.captcha_id !== null) keys.push(createHash('sha256').update(row.captcha_id).digest().readBigInt64BE(0));
    if (row.reply_index !== null) keys.push(row.reply_index.readBigInt64BE(0));
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
