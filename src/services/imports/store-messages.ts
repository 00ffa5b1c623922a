import { v7 as uuidv7 } from 'uuid';
import { sortLocks } from '../../database/locks.ts';
import { type Ask, runStatement, runTogether } from '../../database/statement.ts';
import { isReceiptClash, makeReceipt } from '../ids.ts';
import type { Scope } from '../scope.ts';
import { sealContent } from '../sealed-values.ts';
import { candidates, importLockStatement, importStatement, leftStatement, oldMessages } from './import-statement.ts';
import type { TakeableMessage } from './read-row.ts';

/** Messages that were not imported before, and those whose senders were erased here after writing them. */
export interface Sorted {
  fresh: TakeableMessage[];
  erased: TakeableMessage[];
}

/** Sorts out what is not to be imported. `takeMessages` repeats this under the senders' locks. */
export async function sortMessages(scope: Scope, messages: readonly TakeableMessage[]): Promise<Sorted> {
  const ask: Ask = async (statement, values) => await runStatement(scope.em, statement, values);
  return await sortWith(ask, messages);
}

async function sortWith(ask: Ask, messages: readonly TakeableMessage[]): Promise<Sorted> {
  const rows = await ask<{ print: Buffer; taken: boolean }>(
    leftStatement,
    candidates.values(
      messages.flatMap(({ print, date, indexes }) =>
        indexes.map((address_index) => ({ print, address_index, received_ms: date.at.getTime() })),
      ),
    ),
  );
  const left = new Map(rows.map((row) => [keyOf(row.print), row.taken]));
  return {
    fresh: messages.filter((it) => !left.has(keyOf(it.print))),
    erased: messages.filter((it) => left.get(keyOf(it.print)) === false),
  };
}

/**
 * Stores the messages that are to be imported, their senders, and the marks that they were imported, in one transaction.
 *
 * @param messages in id order: a new sender gets the name of the first one.
 */
export async function takeMessages(
  scope: Scope,
  formId: string,
  messages: readonly TakeableMessage[],
): Promise<Sorted & { newSenders: number }> {
  for (let clashes = 0; ; ) {
    try {
      return await runTogether(scope.em, async (ask) => {
        await ask(importLockStatement, [lockKeys(messages)]);
        const sorted = await sortWith(ask, messages);
        if (sorted.fresh.length === 0) return { ...sorted, newSenders: 0 };
        const rows = sorted.fresh.map((message) => prepareRow(scope, message));
        const [row] = await ask<{ new_senders: number }>(importStatement, [formId, ...oldMessages.values(rows)]);
        return { ...sorted, newSenders: row?.new_senders ?? 0 };
      });
    } catch (error) {
      if (!isReceiptClash(error) || ++clashes >= 3) throw error;
    }
  }
}

function keyOf(print: Buffer): string {
  return print.toString('latin1');
}

function prepareRow({ keyring }: Scope, message: TakeableMessage) {
  const { content, date, oldId, print } = message;
  const [addressIndex, ...others] = message.indexes;
  const msecs = date.at.getTime();
  // Ids sort by time of arrival. Messages of the same millisecond keep the order of their old ids.
  const messageId = uuidv7({ msecs, seq: Number(BigInt.asUintN(32, oldId)) });
  const senderId = uuidv7({ msecs });
  return {
    print,
    address_index: addressIndex,
    received_ms: msecs,
    sender_id: senderId,
    message_id: messageId,
    receipt: makeReceipt(),
    content: sealContent(keyring, messageId, content),
    other_addresses: others.map((it) => it.toString('hex')).join(',') || null,
    address:
      content.address === undefined
        ? null
        : keyring.seal(content.address, { table: 'senders', column: 'address', row: senderId }),
    name:
      content.name === undefined
        ? null
        : keyring.seal(content.name, { table: 'senders', column: 'name', row: senderId }),
  };
}

/** The senders' locks that storing and erasing take too, sorted so that nobody deadlocks. */
function lockKeys(messages: readonly TakeableMessage[]): Buffer {
  return sortLocks(messages.flatMap(({ indexes }) => indexes.flatMap((it) => it?.readBigInt64BE(0) ?? [])));
}
