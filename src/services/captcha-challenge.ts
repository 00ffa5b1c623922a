import { Problem } from '../problems.ts';
import { captchaOf } from './forms/effective-settings.ts';
import { findOpenForm } from './forms/forms.ts';
import type { Scope } from './scope.ts';

/**
 * A fresh ALTCHA challenge, bound to a form.
 *
 * @throws {Problem} form-unknown, form-closed, route-unknown where the form asks for none.
 */
export async function createChallenge(scope: Scope, formSlug: string): Promise<object> {
  const form = await findOpenForm(scope, formSlug);
  if (captchaOf(scope, form) !== 'altcha') throw new Problem('route-unknown', 'this form asks for no ALTCHA captcha');
  return await scope.captchas.altcha.createChallenge(form.slug);
}
