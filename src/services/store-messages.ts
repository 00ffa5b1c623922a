import { v7 as uuidv7 } from 'uuid';
import { normaliseAddress } from '../address.ts';
import { runStatement } from '../database/statement.ts';
import type { MessageStatus } from '../entities/index.ts';
import { type MessageContent, sealContent } from './message-content.ts';
import { makeReceipt } from './receipt.ts';
import { mailboxForLimits } from './reply-rules.ts';
import type { Scope } from './scope.ts';
import { repliesPerFormAndHour, storeStatement } from './store-statement.ts';

/** A checked submission, with all that was decided about it. */
export interface Verdict {
  formId: string;
  content: MessageContent;
  clientAddress: string | undefined;
  status: MessageStatus;
  reasons: readonly string[];
  /** Owners to tell, one email each. */
  notify: readonly string[];
  /** Whether an auto-reply may go out, as far as anybody but the database can tell. */
  reply: boolean;
}

/** What we tell the visitor's browser: we have it. */
export interface Stored {
  id: string;
  receipt: string;
  receivedAt: Date;
}

/**
 * Stores messages, each with its sender (found or new) and its emails, in one statement and so in one
 * transaction: when this returns they are all committed, and where it throws none is.
 *
 * @returns one answer for each verdict, in their order.
 */
export async function storeMessages(scope: Scope, verdicts: readonly Verdict[]): Promise<Stored[]> {
  for (let run = 1; ; run++) {
    const rows = verdicts.map((verdict, index) => prepareRow(scope, verdict, index + 1));
    try {
      const stored = await runStatement<{ n: number; received_ms: number }>(scope.em, storeStatement, bind(rows));
      const receivedAt = new Map(stored.map((it) => [it.n, it.received_ms]));
      return rows.map((row) => {
        const at = receivedAt.get(row.n);
        if (at === undefined) throw new Error('the database stored fewer messages than it was given');
        return { id: row.messageId, receipt: row.receipt, receivedAt: new Date(at) };
      });
    } catch (error) {
      if (run >= 3 || !isReceiptClash(error)) throw error;
    }
  }
}

function prepareRow(scope: Scope, verdict: Verdict, n: number) {
  const { keyring, config } = scope;
  const { content } = verdict;
  const messageId = uuidv7();
  const senderId = uuidv7();
  const mailDomain = config.mailFrom.address.slice(config.mailFrom.address.lastIndexOf('@') + 1);
  const emailIdentity = () => {
    const id = uuidv7();
    return { id, internetMessageId: `<${id}@${mailDomain}>` };
  };
  return {
    n,
    messageId,
    senderId,
    receipt: makeReceipt(),
    formId: verdict.formId,
    status: verdict.status,
    reasons: JSON.stringify(verdict.reasons),
    content: sealContent(keyring, messageId, content),
    clientAddress:
      verdict.clientAddress === undefined
        ? null
        : keyring.seal(verdict.clientAddress, { table: 'messages', column: 'client_address', row: messageId }),
    addressIndex: keyring.addressIndex(normaliseAddress(content.address)),
    address: keyring.seal(content.address, { table: 'senders', column: 'address', row: senderId }),
    name:
      content.name === undefined
        ? null
        : keyring.seal(content.name, { table: 'senders', column: 'name', row: senderId }),
    replyIndex: verdict.reply ? keyring.addressIndex(mailboxForLimits(content.address)) : null,
    reply: emailIdentity(),
    notifications: verdict.notify.map((recipient) => ({ n, recipient, ...emailIdentity() })),
  };
}

type Row = ReturnType<typeof prepareRow>;

/** The parameters of `storeStatement`, in its order: one array a column. */
function bind(rows: readonly Row[]): unknown[] {
  const notifications = rows.flatMap((row) => row.notifications);
  return [
    lockKeys(rows),
    rows.map((it) => it.messageId),
    rows.map((it) => it.receipt),
    rows.map((it) => it.formId),
    rows.map((it) => it.status),
    rows.map((it) => it.reasons),
    rows.map((it) => it.content),
    rows.map((it) => it.clientAddress),
    rows.map((it) => it.senderId),
    rows.map((it) => it.addressIndex),
    rows.map((it) => it.address),
    rows.map((it) => it.name),
    rows.map((it) => it.replyIndex),
    rows.map((it) => it.reply.id),
    rows.map((it) => it.reply.internetMessageId),
    notifications.map((it) => it.n),
    notifications.map((it) => it.id),
    notifications.map((it) => it.recipient),
    notifications.map((it) => it.internetMessageId),
    repliesPerFormAndHour,
  ];
}

/**
 * What two overlapping statements could both want to change, as 64-bit numbers in one order for everybody, so
 * that they wait for each other and never in a circle.
 */
function lockKeys(rows: readonly Row[]): string[] {
  const keys = rows.flatMap((row) =>
    row.replyIndex === null
      ? [row.addressIndex.readBigInt64BE(0)]
      : [row.addressIndex.readBigInt64BE(0), row.replyIndex.readBigInt64BE(0), formKey(row.formId)],
  );
  return [...new Set(keys)].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)).map(String);
}

/** The last 64 bits of the form's UUID. */
function formKey(formId: string): bigint {
  return BigInt.asIntN(64, BigInt(`0x${formId.replaceAll('-', '').slice(16)}`));
}

function isReceiptClash(error: unknown): boolean {
  const { code, constraint } = error as { code?: unknown; constraint?: unknown };
  return code === '23505' && constraint === 'messages_receipt_unique';
}
