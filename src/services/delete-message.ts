import { inTransaction } from '../database/transaction.ts';
import type { MessageChange } from './hold-message.ts';
import { findMessage } from './messages.ts';
import { removeMessages } from './remove-messages.ts';
import type { Scope } from './scope.ts';

/**
 * Deletes a message for good, with its emails and their attempts. Its sender stays until the next purge, or longer where
 * there are other messages; mail that a worker has in its hands at this moment still goes out.
 *
 * @param which an id or a receipt.
 * @param within ids of forms: a message of any other is not there.
 * @throws {Problem} message-unknown
 */
export async function deleteMessage(scope: Scope, which: string, within?: readonly string[]): Promise<MessageChange> {
  const { id, receipt } = await findMessage(scope, which, within);
  return await inTransaction(scope.em, async (em) => {
    const removed = await removeMessages(em, [id]);
    return { id, receipt, changed: removed.length > 0 };
  });
}
