import { Message } from '../../entities/index.ts';
import type { Scope } from '../scope.ts';
import { type MessageView, viewMessage } from '../views.ts';
import { type MessageFilter, messagesWhere } from './messages.ts';

/** Rows in memory at a time. */
const pageSize = 200;

/**
 * Every matching message, oldest first, page by page, without messages that arrive meanwhile. Each page is a short query of
 * its own, so a slow reader holds neither a transaction nor a connection. A wrong filter is refused before the first page.
 *
 * @throws {Problem} form-unknown, sender-unknown, argument-invalid
 */
export async function exportMessages(scope: Scope, filter: MessageFilter = {}): Promise<AsyncGenerator<MessageView[]>> {
  return pagesOf(scope, await messagesWhere(scope, filter));
}

async function* pagesOf(scope: Scope, where: Awaited<ReturnType<typeof messagesWhere>>): AsyncGenerator<MessageView[]> {
  const [newest] = await scope.em.fork().find(Message, where, { fields: ['id'], orderBy: { id: 'desc' }, limit: 1 });
  if (newest === undefined) return;
  for (let after: string | undefined; after !== newest.id; ) {
    const rows: Message[] = await scope.em
      .fork()
      .find(
        Message,
        { $and: [where, { id: { $lte: newest.id } }, ...(after === undefined ? [] : [{ id: { $gt: after } }])] },
        { populate: ['form'], orderBy: { id: 'asc' }, limit: pageSize },
      );
    after = rows.at(-1)?.id;
    // The newest may have been deleted meanwhile.
    if (after === undefined) return;
    yield rows.map((row) => viewMessage(scope.keyring, row));
  }
}

/** How many messages match. @throws {Problem} form-unknown, sender-unknown, argument-invalid */
export async function countMessages(scope: Scope, filter: MessageFilter = {}): Promise<number> {
  return await scope.em.count(Message, await messagesWhere(scope, filter));
}
