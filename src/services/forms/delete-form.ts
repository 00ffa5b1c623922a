import { inTransaction } from '../../database/statement.ts';
import { Problem } from '../../problems.ts';
import type { Scope } from '../scope.ts';
import { defaultFormSlug, findFormId } from './forms.ts';

/** SQL: how many messages a form has, and the names of the working keys that are limited to it. */
const usesOfForm = `
  select (select count(*)::int from messages where form_id = forms.id) as messages,
    (select string_agg(name, ', ' order by name) from api_keys
      where forms.id = any(api_keys.forms) and revoked_at is null and (expires_at is null or expires_at > now())) as keys
  from forms where id = ?`;

/**
 * Deletes a form that nothing refers to. A server that remembers the form refuses the next post (see decision 40).
 *
 * @throws {Problem} form-unknown, form-in-use, argument-invalid
 */
export async function deleteForm(scope: Scope, slug: string): Promise<void> {
  const id = await requireDeletable(scope, slug);
  await inTransaction(scope.em, async (em) => await removeForm(em, id, slug));
}

/** The same, in the caller's transaction. @throws {Problem} form-in-use */
export async function removeForm(em: Scope['em'], id: string, slug: string): Promise<void> {
  // Waits for posts that are being stored. The next statement sees them; later posts find no form.
  await em.execute('select from forms where id = ? for update', [id]);
  await requireUnused(em, id, slug);
  for (const table of ['reply_hours', 'notify_hours']) {
    await em.execute(`delete from ${table} where form_id = ?`, [id]);
  }
  await em.execute('delete from forms where id = ?', [id]);
}

/**
 * Finds a form that may be deleted, before somebody is asked about it.
 *
 * @throws {Problem} as `deleteForm`
 */
export async function requireDeletable(scope: Scope, slug: string): Promise<string> {
  if (slug === defaultFormSlug) {
    throw new Problem('argument-invalid', `"${slug}" stays, because /api/messages posts to it; close it instead`);
  }
  const id = await findFormId(scope, slug);
  await requireUnused(scope.em, id, slug);
  return id;
}

async function requireUnused(em: Scope['em'], id: string, slug: string): Promise<void> {
  const [used] = await em.execute<{ messages: number; keys: string | null }[]>(usesOfForm, [id]);
  if (used?.messages) {
    const messages = used.messages === 1 ? 'a message' : `${used.messages} messages`;
    throw new Problem('form-in-use', `the form "${slug}" has ${messages}`, { needs: 'close' });
  }
  if (used?.keys) throw new Problem('form-in-use', `API keys are limited to the form "${slug}": ${used.keys}`);
}
