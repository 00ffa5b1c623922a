import { Form } from '../entities/index.ts';
import { Problem } from '../problems.ts';
import type { Scope } from './scope.ts';

/**
 * The id of the form that a list is limited to, be it open or closed.
 *
 * @param within ids of forms: any other is not there.
 * @throws {Problem} form-unknown
 */
export async function findFormId(scope: Scope, slug: string, within?: readonly string[]): Promise<string> {
  const form = await scope.em.findOne(Form, { slug });
  if (form === null || within?.includes(form.id) === false)
    throw new Problem('form-unknown', `there is no form "${slug}"`);
  return form.id;
}
