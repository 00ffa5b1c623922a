import { Form } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { slugPattern } from '../../words.ts';
import type { Scope } from '../scope.ts';

/** The slug of the form that `/api/messages` posts to. */
export const defaultFormSlug = 'contact';

/** What a form may be called. */
export const newSlug = /^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$/;
export const slugRule = 'use up to 64 lower-case letters, digits and -';

/** Finds a form, open or closed. It does not query for an invalid slug: PostgreSQL rejects text that contains NUL. */
export async function findForm(scope: Scope, slug: string): Promise<Form | null> {
  return slugPattern.test(slug) ? await scope.em.findOne(Form, { slug }) : null;
}

/** @throws {Problem} form-unknown, form-closed */
export async function findOpenForm(scope: Scope, slug: string): Promise<Form> {
  const form = await findForm(scope, slug);
  if (form === null) throw new Problem('form-unknown', 'there is no such form');
  if (!form.isOpenAt(scope.now())) throw formClosed(form);
  return form;
}

/** In the operator's words, if there are some. */
export function formClosed({ name, language, closedText }: Form, fact = 'this form is closed'): Problem {
  return new Problem('form-closed', closedText ?? fact, { form: name, language, closedText: closedText ?? undefined });
}

/** What a shell may complete; needs no keys and no entities. A database may hold anything, and a shell must not run it. */
export async function listSlugs(em: Scope['em']): Promise<string[]> {
  const forms = await em.execute<{ slug: string }[]>('select slug from forms order by slug limit 1000');
  return forms.map((it) => it.slug).filter((it) => slugPattern.test(it));
}

/** The origins of all forms. */
export async function listFormOrigins(scope: Scope): Promise<Set<string>> {
  const forms = await scope.em.find(Form, { origins: { $ne: null } }, { fields: ['origins'] });
  return new Set(forms.flatMap((form) => form.origins ?? []));
}

/**
 * Finds the id of a form, open or closed.
 *
 * @param within ids of the only forms that may be found.
 * @throws {Problem} form-unknown
 */
export async function findFormId(scope: Scope, slug: string, within?: readonly string[]): Promise<string> {
  const form = await findForm(scope, slug);
  if (form === null || within?.includes(form.id) === false)
    throw new Problem('form-unknown', `there is no form "${slug}"`);
  return form.id;
}
