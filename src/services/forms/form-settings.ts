import { Form } from '../../entities/index.ts';
import { Problem } from '../../problems.ts';
import { newId } from '../ids.ts';
import type { Scope } from '../scope.ts';
import { defaultFormSlug, findForm, newSlug, slugRule } from './forms.ts';
import { type FormSettings, readSettings, requireFittingFields } from './read-settings.ts';
import { type FormView, leftOf, viewForm } from './view-form.ts';

/** Every form, in alphabetical order. Says nothing about what is `left`: see `list-forms.ts`. */
export async function listForms(scope: Scope): Promise<FormView[]> {
  const forms = await scope.em.find(Form, {}, { orderBy: { slug: 'asc' } });
  return forms.map((form) => viewForm(scope, form));
}

/** @throws {Problem} form-unknown */
export async function showForm(scope: Scope, slug: string): Promise<FormView> {
  return await viewWithLeft(scope, await requireForm(scope, slug));
}

/** @throws {Problem} form-exists, argument-invalid */
export async function addForm(scope: Scope, slug: string, settings: Partial<FormSettings>): Promise<FormView> {
  await requireFreeSlug(scope, slug);
  const form = scope.em.create(Form, { id: newId(), slug, createdAt: scope.now(), ...readSettings(scope, settings) });
  requireFittingFields(form);
  await scope.em.flush();
  return await viewWithLeft(scope, form);
}

/**
 * Changes the given settings and leaves the others.
 *
 * @throws {Problem} form-unknown, form-exists, argument-invalid
 */
export async function changeForm(
  scope: Scope,
  slug: string,
  changes: Partial<FormSettings> & { slug?: string; open?: boolean },
): Promise<FormView> {
  const { slug: newSlug, open, ...settings } = changes;
  const form = await requireForm(scope, slug);
  if (newSlug !== undefined && newSlug !== slug) {
    if (slug === defaultFormSlug) {
      throw new Problem('argument-invalid', `"${slug}" keeps its slug, because /api/messages posts to it`);
    }
    await requireFreeSlug(scope, newSlug);
    form.slug = newSlug;
  }
  Object.assign(form, readSettings(scope, settings));
  requireFittingFields(form);
  if (open === true) {
    form.reopen();
    if (!form.isOpenAt(scope.now())) {
      throw new Problem('argument-invalid', `"${slug}" closed at ${form.closesAt?.toISOString()}`, { needs: 'closes' });
    }
  }
  if (open === false) form.close(scope.now());
  await scope.em.flush();
  return await viewWithLeft(scope, form);
}

async function viewWithLeft(scope: Scope, form: Form): Promise<FormView> {
  const { id, messageLimit: limit = null } = form;
  if (limit === null) return viewForm(scope, form);
  const sql = 'select count(*)::int as messages from messages where form_id = ?';
  const [counted] = await scope.em.execute<{ messages: number }[]>(sql, [id]);
  return viewForm(scope, form, leftOf(limit, counted?.messages ?? 0));
}

async function requireForm(scope: Scope, slug: string): Promise<Form> {
  const form = await findForm(scope, slug);
  if (form === null) throw new Problem('form-unknown', `there is no form "${slug}"`);
  return form;
}

/** @throws {Problem} argument-invalid, form-exists */
async function requireFreeSlug(scope: Scope, slug: string): Promise<void> {
  if (!newSlug.test(slug)) throw new Problem('argument-invalid', `"${slug}" cannot be a slug: ${slugRule}`);
  if ((await scope.em.count(Form, { slug })) > 0) throw new Problem('form-exists', `the form "${slug}" already exists`);
}
