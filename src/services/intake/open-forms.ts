import type { Form } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { findOpenForm } from '../forms/forms.ts';
import type { Scope } from '../scope.ts';
import { FormOutdated } from './verdict.ts';

/** Open forms by slug, as they were when they were last read. */
export type RememberedForms = Map<string, Form>;

/**
 * Judges a post by the remembered form, which needs no query. The form is read again before a post is refused, and if the
 * statement that stores found another version. So a change of the form takes effect at once.
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
  // Its time may have come since it was read.
  if (!form?.isOpenAt(scope.now())) form = undefined;
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
  try {
    // A fork has no cached form, and is garbage afterwards.
    const form = await findOpenForm({ ...scope, em: scope.em.fork() }, slug);
    remembered.set(slug, form);
    return form;
  } catch (error) {
    // During an outage it is still good for the language of the page about it.
    if (error instanceof Problem) remembered.delete(slug);
    throw error;
  }
}
