import type { CaptchaKind } from '../captcha-kinds.ts';
import { Form } from '../entities/index.ts';
import { Problem } from '../problems.ts';
import type { Scope } from './scope.ts';

/** The slug of the form that `/api/messages` belongs to. */
export const defaultFormSlug = 'contact';

/** The open forms that posts have come for, by their slugs, as they were when they were last read. */
export type RememberedForms = Map<string, Form>;

/** What was decided by a form that has been changed since. */
export class FormOutdated extends Error {
  override readonly name = 'FormOutdated';
}

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

/**
 * Takes a post by a form as it is remembered, which costs no question to the database, and takes it anew wherever
 * that form turns out to have been changed since: before anything is refused the form is read again, and nothing is
 * stored by an old one (`store-statement.ts` compares the versions). So a change holds from the moment it is made.
 *
 * @param take throws FormOutdated where the statement found another version.
 * @throws {Problem} form-unknown, form-closed
 */
export async function withOpenForm<T>(scope: Scope, slug: string, take: (form: Form) => Promise<T>): Promise<T> {
  let form = scope.forms?.get(slug);
  for (;;) {
    const judgedBy = form ?? (await readForm(scope, slug));
    try {
      return await take(judgedBy);
    } catch (error) {
      const isRefusal = error instanceof Problem && form !== undefined;
      if (!isRefusal && !(error instanceof FormOutdated)) throw error;
      form = await readForm(scope, slug);
      if (isRefusal && form.version === judgedBy.version) throw error;
    }
  }
}

async function readForm(scope: Scope, slug: string): Promise<Form> {
  scope.forms?.delete(slug);
  // In an entity manager of its own, which has not seen the form before and is not kept by it.
  const form = await findOpenForm({ ...scope, em: scope.em.fork() }, slug);
  scope.forms?.set(slug, form);
  return form;
}

/** The captcha that a form asks for. */
export function captchaOf(scope: Pick<Scope, 'config'>, form: Pick<Form, 'captcha'>): CaptchaKind {
  return form.captcha ?? scope.config.captcha.kind;
}

/** Every origin that some form has as its own. */
export async function listFormOrigins(scope: Scope): Promise<Set<string>> {
  const forms = await scope.em.find(Form, { origins: { $ne: null } }, { fields: ['origins'] });
  return new Set(forms.flatMap((form) => form.origins ?? []));
}
