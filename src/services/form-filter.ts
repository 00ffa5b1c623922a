import { Problem } from '../problems.ts';
import { findForm } from './forms.ts';
import type { Scope } from './scope.ts';

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
