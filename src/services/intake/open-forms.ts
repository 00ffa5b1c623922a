import type { Form } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { findOpenForm } from '../forms/forms.ts';
import type { Scope } from '../scope.ts';
import { FormOutdated } from './verdict.ts';

/** The open forms that posts have come for, by their slugs, as they were when they were last read. */
export type RememberedForms = Map<string, Form>;

/**
 * Takes a post by a form as it is remembered, which costs no question to the database, and takes it anew wherever
 * that form turns out to have been changed since: before anything is refused the form is read again, and nothing is
 * stored by an old one (`store-statement.ts` compares the versions). So a change holds from the moment it is made.
 *
 * @param take throws FormOutdated where the statement found another version.
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
  // In an entity manager of its own, which has not seen the form before and is not kept by it.
  const form = await findOpenForm({ ...scope, em: scope.em.fork() }, slug);
  remembered.set(slug, form);
  return form;
}
