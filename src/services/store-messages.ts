import { createHash } from 'node:crypto';
import { normaliseAddress } from '../address.ts';
import { binaryArray } from '../database/binary-array.ts';
import { sortLocks } from '../database/locks.ts';
import { requestPatience } from '../database/orm.ts';
import { runStatement } from '../database/statement.ts';
import { Problem } from '../problems.ts';
import { coarseNetwork } from './client-network.ts';
import { findFirstAnswers, isRepeatBeingStored, postIdentity, repeatLock } from './first-answers.ts';
import { isReceiptClash, makeReceipt, newId } from './ids.ts';
import { FormOutdated, type StoreResult, type Verdict } from './intake/verdict.ts';
import { newEmailIdentity } from './outbox.ts';
import { comparableText, isLong } from './repetition.ts';
import type { Scope } from './scope.ts';
import { sealContent } from './sealed-values.ts';
import { mailboxForLimits } from './senders/reply-rules.ts';
import { repliesPerFormAndHour, storeStatement } from './store-statement.ts';

/**
 * How long several wait for a lock together, in milliseconds. It may be the lock of one of them; there must be time
 * enough left to store the others without it.
 */
const togetherLockMs = 500;

/** How long a repeat waits for the first to be stored, in milliseconds. */
const repeatWaitMs = 5000;

/**
 * Stores messages, each with its sender (found or new) and its emails, in one statement and so in one
 * transaction: when this returns they are all committed, and where it throws none is.
 *
 * @param since when the first of them arrived, on the clock of `performance.now()`: a repeat that finds its first one
 *   still being stored waits for it no longer than five seconds from then.
 * @returns one result for each verdict, in their order.
 * @throws {Problem} repeat-in-progress
 */
export async function storeMessages(
  scope: Scope,
  verdicts: readonly Verdict[],
  since = performance.now(),
): Promise<StoreResult[]> {
  let clashes = 0;
  for (;;) {
    const rows = verdicts.map((verdict, index) => prepareRow(scope, verdict, index + 1));
    try {
      const told = await runStatement<ToldRow>(scope.em, storeStatement, bind(rows));
      const results = await answerAll(scope, rows, new Map(told.map((it) => [it.n, it])));
      // Lost against something that was gone a moment later (a key that became a day old, a message that was
      // deleted): nobody has it, so it is stored now.
      const unexplained = results.flatMap((result, index) => (result === undefined ? [index] : []));
      if (unexplained.length === 0) return results as StoreResult[];
      const again = await storeMessages(
        scope,
        unexplained.map((index) => verdicts[index] as Verdict),
        since,
      );
      return results.map((result, index) => result ?? (again[unexplained.indexOf(index)] as StoreResult));
    } catch (error) {
      if (isReceiptClash(error) && ++clashes < 3) continue;
      // Of several it is not known which one waits; whoever put them together stores them one by one.
      if (!isLockTimeout(error) || rows.length > 1 || !(await isRepeatBeingStored(scope, rows))) throw error;
      if (performance.now() - since + requestPatience.lockMs > repeatWaitMs) {
        throw new Problem('repeat-in-progress', 'the first of these posts is still being stored', { cause: error });
      }
    }
  }
}

/** What the statement says of a row: when it was stored, or null. */
interface ToldRow {
  n: number;
  is_current: boolean;
  received_ms: number | null;
}

/** Rows that were not stored lost against another one, what did that get?, or the form is another one by now. */
async function answerAll(
  scope: Scope,
  rows: readonly Row[],
  told: ReadonlyMap<number, ToldRow>,
): Promise<(StoreResult | undefined)[]> {
  const lost = rows.filter((row) => told.get(row.n)?.received_ms == null && told.get(row.n)?.is_current);
  const first = lost.length === 0 ? [] : await findFirstAnswers(scope, lost);
  return rows.map((row) => {
    const { received_ms: at, is_current: isCurrent } = told.get(row.n) ?? {};
    if (at != null)
      return { stored: { id: row.messageId, receipt: row.receipt, receivedAt: new Date(at) }, repeated: false };
    if (!isCurrent) return { refused: new FormOutdated('the form was changed in the meantime') };
    const answer = first[lost.indexOf(row)];
    if (answer !== undefined || row.captchaId === null) return answer;
    return { refused: new Problem('captcha-wrong', 'this captcha was used before') };
  });
}

function prepareRow(scope: Scope, verdict: Verdict, n: number) {
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

type Row = ReturnType<typeof prepareRow>;

/** The parameters of `storeStatement`, in its order: one array a column. */
function bind(rows: readonly Row[]): unknown[] {
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

function isLockTimeout(error: unknown): boolean {
  return (error as { code?: unknown }).code === '55P03';
}
