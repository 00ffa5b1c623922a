import { Form } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import type { Scope } from '../scope.ts';

/** The slug of the form that `/api/messages` belongs to. */
export const defaultFormSlug = 'contact';

/** The form of a slug, be it open or closed. What cannot be a slug is not asked for: PostgreSQL takes no NUL. */
export async function findForm(scope: Scope, slug: string): Promise<Form | null> {
  return /^[a-z0-9-]{1,64}$/.test(slug) ? await scope.em.findOne(Form, { slug }) : null;
}

/** @throws {Problem} form-unknown, form-closed */
export async function findOpenForm(scope: Scope, slug: string): Promise<Form> {
  const form = await findForm(scope, slug);
  if (form === null) throw new Problem('form-unknown', 'there is no such form');
  if (!form.isOpen) throw new Problem('form-closed', 'this form is closed');
  return form;
}

/** Every origin that some form has as its own. */
export async function listFormOrigins(scope: Scope): Promise<Set<string>> {
  const forms = await scope.em.find(Form, { origins: { $ne: null } }, { fields: ['origins'] });
  return new Set(forms.flatMap((form) => form.origins ?? []));
}

/**
 * The id of the form that a list is limited to, be it open or closed.
 *
 * @param within ids of forms: any other is not there.
 * @throws {Problem} form-unknown
 */
export async function findFormId(scope: Scope, slug: string, within?: readonly string[]): Promise<string> {
  const form = await findForm(scope, slug);
  if (form === null || within?.includes(form.id) === false)
    throw new Problem('form-unknown', `there is no form "${slug}"`);
  return form.id;
}
