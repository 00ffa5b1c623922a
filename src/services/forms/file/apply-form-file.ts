import { isDeepStrictEqual } from 'node:util';
import { inTransaction } from '../../../database/statement.ts';
import { Form } from '../../../entities/index.ts';
import { Problem } from '../../../problems.ts';
import { newId } from '../../ids.ts';
import type { Scope } from '../../scope.ts';
import { removeForm, requireDeletable } from '../delete-form.ts';
import { defaultFormSlug, findFormId } from '../forms.ts';
import type { FormFile } from './read-form-file.ts';
import { type Setting, settingNames } from './schema.ts';

export interface FormChange {
  form: string;
  action: 'add' | 'change' | 'delete';
  settings: { setting: Setting; before: unknown; after: unknown }[];
}

export interface FormChanges {
  changes: FormChange[];
  /** Forms that the file lacks and that stay as they are. The default form may always be missing. */
  notInFile: string[];
}

/** What has to change so that the forms are as in the file. @param prune whether forms that the file lacks go. */
export async function compareForms(scope: Scope, file: FormFile, prune = false): Promise<FormChanges> {
  // As stored: -0 becomes 0, and what is undefined is left out.
  const stored = (value: unknown) => JSON.parse(JSON.stringify(value));
  const forms = await scope.em.find(Form, {}, { orderBy: { slug: 'asc' } });
  const changes = [...file].map(([slug, wanted]): FormChange => {
    const form = forms.find((it) => it.slug === slug);
    const before = { ...form, closed: form?.closedAt != null };
    const settings = settingNames
      .map((setting) => ({ setting, before: before[setting] ?? null, after: wanted[setting] ?? null }))
      .filter((it) => !isDeepStrictEqual(stored(it.before), stored(it.after)));
    return { form: slug, action: form === undefined ? 'add' : 'change', settings };
  });
  const missing = forms.filter((it) => !file.has(it.slug) && it.slug !== defaultFormSlug);
  if (prune) for (const form of missing) changes.push(await prunedForm(scope, form));
  const isChanged = (it: FormChange) => it.action !== 'change' || it.settings.length > 0;
  return { changes: changes.filter(isChanged), notInFile: prune ? [] : missing.map((it) => it.slug) };
}

/** What `forms delete` refuses is closed: a form with messages, or with an API key of its own. */
async function prunedForm(scope: Scope, { slug: form, closedAt }: Form): Promise<FormChange> {
  try {
    await requireDeletable(scope, form);
    return { form, action: 'delete', settings: [] };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { form, action: 'change', settings: closedAt ? [] : [{ setting: 'closed', before: false, after: true }] };
  }
}

/**
 * Changes the forms in one transaction, so that they are as in the file.
 *
 * @param shown the changes that somebody agreed to; others are refused.
 * @throws {Problem} repeat-in-progress
 */
export async function applyFormFile(
  scope: Scope,
  file: FormFile,
  { prune = false, shown }: { prune?: boolean | undefined; shown?: FormChanges | undefined },
): Promise<FormChanges> {
  return await inTransaction(scope.em, async (em) => {
    const inside = { ...scope, em };
    // Commands that change forms wait; posts do not, unless a form may have to go.
    await em.execute('lock table forms in share row exclusive mode');
    if (prune) await em.execute('select from forms order by id for update');
    const found = await compareForms(inside, file, prune);
    if (shown !== undefined && found.changes.length > 0 && !isDeepStrictEqual(found, shown))
      throw new Problem(
        'repeat-in-progress',
        'the forms were changed meanwhile, and nothing was applied: run this again',
      );
    for (const change of found.changes) await makeChange(inside, change);
    return found;
  });
}

/** The file was checked as a whole, and it may open a form whose time to close is over. */
async function makeChange(scope: Scope, { form: slug, action, settings }: FormChange): Promise<void> {
  if (action === 'delete') return await removeForm(scope.em, await findFormId(scope, slug), slug);
  const { closed, ...given } = Object.fromEntries(settings.map((it) => [it.setting, it.after]));
  const form =
    action === 'add'
      ? scope.em.create(Form, { id: newId(), slug, createdAt: scope.now() })
      : await scope.em.findOneOrFail(Form, { slug });
  Object.assign(form, given);
  if (closed === true) form.close(scope.now());
  if (closed === false) form.reopen();
  await scope.em.flush();
}
