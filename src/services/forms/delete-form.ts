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
  if (slug === defaultFormSlug) {
    throw new Problem('argument-invalid', `"${slug}" stays, because /api/messages posts to it; close it instead`);
  }
  const id = await findFormId(scope, slug);
  await inTransaction(scope.em, async (em) => {
    // Waits for posts that are being stored. The next statement sees them; later posts find no form.
    await em.execute('select from forms where id = ? for update', [id]);
    const [used] = await em.execute<{ messages: number; keys: string | null }[]>(usesOfForm, [id]);
    if (used?.messages) {
      const messages = used.messages === 1 ? 'a message' : `${used.messages} messages`;
      throw new Problem('form-in-use', `the form "${slug}" has ${messages}: close it, or delete them first`);
    }
    if (used?.keys) throw new Problem('form-in-use', `API keys are limited to the form "${slug}": ${used.keys}`);
    for (const table of ['reply_hours', 'notify_hours']) {
      await em.execute(`delete from ${table} where form_id = ?`, [id]);
    }
    await em.execute('delete from forms where id = ?', [id]);
  });
}
