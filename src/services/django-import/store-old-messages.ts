import { v7 as uuidv7 } from 'uuid';
import { normaliseAddress } from '../../address.ts';
import { sortLocks } from '../../database/locks.ts';
import { runLocked, runStatement } from '../../database/statement.ts';
import { isReceiptClash, makeReceipt } from '../ids.ts';
import type { Scope } from '../scope.ts';
import { sealContent } from '../sealed-values.ts';
import { candidates, importLockStatement, importStatement, leftStatement, oldMessages } from './import-statement.ts';
import type { TakeableMessage } from './read-old-message.ts';

/**
 * Finds the messages that were not imported yet (`fresh`), and those of people who were erased since (`erased`). Looking
 * first saves a repeated import from encrypting everything again.
 */
export async function sortMessages(scope: Scope, messages: readonly TakeableMessage[]) {
  const rows = await runStatement<{ print: Buffer; taken: boolean }>(
    scope.em,
    leftStatement,
    candidates.values(
      messages.map((it) => ({
        print: it.print,
        address_index: addressIndexOf(scope, it),
        received_ms: it.date.at.getTime(),
      })),
    ),
  );
  const left = new Map(rows.map((row) => [keyOf(row.print), row.taken]));
  return {
    fresh: messages.filter((it) => !left.has(keyOf(it.print))),
    erased: messages.filter((it) => left.get(keyOf(it.print)) === false),
  };
}

/** What happened to messages that were not imported before. */
export interface Took {
  messages: number;
  newSenders: number;
  /** Their sender was erased while this page was being prepared. */
  erased: TakeableMessage[];
}

/**
 * Stores messages, their senders, and the marks that they were imported, in one transaction.
 *
 * @param messages in the order of their ids: a new sender gets the name of the first one.
 */
export async function takeMessages(scope: Scope, formId: string, messages: readonly TakeableMessage[]): Promise<Took> {
  for (let clashes = 0; messages.length > 0; ) {
    const rows = messages.map((message) => prepareRow(scope, message));
    const lock = { statement: importLockStatement, values: [lockKeys(rows)] };
    try {
      const [took] = await runLocked<{ messages: number; new_senders: number; erased: Buffer[] }>(
        scope.em,
        lock,
        importStatement,
        [formId, ...oldMessages.values(rows)],
      );
      const erased = new Set(took?.erased.map(keyOf));
      return {
        messages: took?.messages ?? 0,
        newSenders: took?.new_senders ?? 0,
        erased: messages.filter((it) => erased.has(keyOf(it.print))),
      };
    } catch (error) {
      if (!isReceiptClash(error) || ++clashes >= 3) throw error;
    }
  }
  return { messages: 0, newSenders: 0, erased: [] };
}

function keyOf(print: Buffer): string {
  return print.toString('latin1');
}

function addressIndexOf({ keyring }: Scope, { content }: TakeableMessage): Buffer {
  return keyring.addressIndex(normaliseAddress(content.address));
}

function prepareRow(scope: Scope, message: TakeableMessage) {
  const { keyring } = scope;
  const { content, date, oldId, print } = message;
  const msecs = date.at.getTime();
  // Ids sort by time of arrival. Messages of the same millisecond keep the order of their old ids.
  const messageId = uuidv7({ msecs, seq: Number(BigInt.asUintN(32, oldId)) });
  const senderId = uuidv7({ msecs });
  return {
    print,
    address_index: addressIndexOf(scope, message),
    received_ms: msecs,
    sender_id: senderId,
    message_id: messageId,
    receipt: makeReceipt(),
    content: sealContent(keyring, messageId, content),
    address: keyring.seal(content.address, { table: 'senders', column: 'address', row: senderId }),
    name:
      content.name === undefined
        ? null
        : keyring.seal(content.name, { table: 'senders', column: 'name', row: senderId }),
  };
}

type Row = ReturnType<typeof prepareRow>;

/** The senders' locks that storing and erasing take too, sorted so that nobody deadlocks. */
function lockKeys(rows: readonly Row[]): Buffer {
  return sortLocks(rows.map((row) => row.address_index.readBigInt64BE(0)));
}
