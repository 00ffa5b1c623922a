import { Message } from '../entities/index.ts';
import type { MessageChange } from './hold-message.ts';
import { findMessage } from './messages.ts';
import type { Scope } from './scope.ts';

/**
 * Deletes a message for good, with its emails and their attempts. Its sender stays; mail that a worker has in its
 * hands at this moment still goes out.
 *
 * @param which an id or a receipt.
 * @param within ids of forms: a message of any other is not there.
 * @throws {Problem} message-unknown
 */
export async function deleteMessage(scope: Scope, which: string, within?: readonly string[]): Promise<MessageChange> {
  const { id, receipt, sender } = await findMessage(scope, which, within);
  return await scope.em.fork().transactional(async (em) => {
    // The message first, as the statement that stores has it: what it remembers of posts, then the sender.
    const deleted = await em.nativeDelete(Message, { id });
    if (deleted > 0) await em.execute('update senders set message_count = message_count - 1 where id = ?', [sender.id]);
    return { id, receipt, changed: deleted > 0 };
  });
}
