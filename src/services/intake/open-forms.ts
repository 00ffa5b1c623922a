import type { Form } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { findOpenForm } from '../forms/forms.ts';
import type { Scope } from '../scope.ts';
import { FormOutdated } from './verdict.ts';

/** Open forms by slug, as they were when a post last made us read them. */
export type RememberedForms = Map<string, Form>;

/**
 * Judges a post by the remembered form, which costs no query, and again if the form has changed since. Before a post is
 * refused, its form is read again; and no post is stored by an outdated form (`store-statement.ts` compares the versions).
 * So a change takes effect at once.
 *
 * @param take throws FormOutdated if the statement found another version.
 * @throws {Problem} form-unknown, form-closed
 */
export async function withOpenForm<T>(
  scope: Scope,
  remembered: RememberedForms,
  slug: string,
  take: (form: Form) => Promise<T>,
): Promise<T> {
  let form = remembered.get(slug);
  for (;;) {
    const judgedBy = form ?? (await readForm(scope, remembered, slug));
    try {
      return await take(judgedBy);
    } catch (error) {
      const isRefusal = error instanceof Problem && form !== undefined;
      if (!isRefusal && !(error instanceof FormOutdated)) throw error;
      form = await readForm(scope, remembered, slug);
      if (isRefusal && form.version === judgedBy.version) throw error;
    }
  }
}

async function readForm(scope: Scope, remembered: RememberedForms, slug: string): Promise<Form> {
  remembered.delete(slug);
  // A fork has not seen the form before, and nothing keeps it alive afterwards.
  const form = await findOpenForm({ ...scope, em: scope.em.fork() }, slug);
  remembered.set(slug, form);
  return form;
}
