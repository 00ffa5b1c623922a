import { Form, Message } from '../../entities/index.ts';
import { declaredFields, knownFields } from '../forms/fields.ts';
import { findFormId } from '../forms/forms.ts';
import { walkById } from '../paging.ts';
import type { Scope } from '../scope.ts';
import { type MessageView, viewMessage } from '../views.ts';
import { type MessageFilter, messagesWhere } from './messages.ts';

/** Rows in memory at a time. */
const pageSize = 200;

/**
 * Every matching message, oldest first, page by page, without messages that arrive meanwhile. A wrong filter is refused
 * before the first page.
 *
 * @throws {Problem} form-unknown, sender-unknown, argument-invalid
 */
export async function exportMessages(scope: Scope, filter: MessageFilter = {}): Promise<AsyncGenerator<MessageView[]>> {
  return pagesOf(scope, await messagesWhere(scope, filter));
}

async function* pagesOf(scope: Scope, where: Awaited<ReturnType<typeof messagesWhere>>): AsyncGenerator<MessageView[]> {
  const [newest] = await scope.em.fork().find(Message, where, { fields: ['id'], orderBy: { id: 'desc' }, limit: 1 });
  if (newest === undefined) return;
  const pages = walkById((after) =>
    scope.em
      .fork()
      .find(
        Message,
        { $and: [where, { id: { $gt: after, $lte: newest.id } }] },
        { populate: ['form', 'sender'], orderBy: { id: 'asc' }, limit: pageSize },
      ),
  );
  for await (const rows of pages) yield rows.map((row) => viewMessage(scope.keyring, row));
}

/** The fields that a form declares, without `email`, `name`, `subject` and `message`. @throws {Problem} form-unknown */
export async function listDeclared(scope: Scope, slug: string): Promise<string[]> {
  const form = await scope.em.fork().findOneOrFail(Form, { id: await findFormId(scope, slug) });
  const names = declaredFields(form)?.map((it) => it.name) ?? [];
  return names.filter((it) => !Object.hasOwn(knownFields, it));
}

/** How many messages match. @throws {Problem} form-unknown, sender-unknown, argument-invalid */
export async function countMessages(scope: Scope, filter: MessageFilter = {}): Promise<number> {
  return await scope.em.count(Message, await messagesWhere(scope, filter));
}
