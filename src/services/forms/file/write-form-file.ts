import { Document, isMap } from 'yaml';
import type { FormView } from '../view-form.ts';
import { type Setting, settingNames, settingSchemas } from './schema.ts';

/** Writes what a file says about these forms: only settings that are not empty. @param comment to put above them. */
export function writeFormFile(forms: readonly FormView[], comment: readonly string[]): string {
  const document = new Document({ forms: Object.fromEntries(forms.map((form) => [form.slug, settingsOfForm(form)])) });
  document.commentBefore = comment.map((line) => ` ${line}`).join('\n');
  const listed = document.get('forms');
  for (const { key } of isMap(listed) ? listed.items.slice(1) : [])
    (key as { spaceBefore?: boolean }).spaceBefore = true;
  return document.toString({ lineWidth: 0 });
}

function settingsOfForm(form: FormView): Partial<Record<Setting, unknown>> {
  const ownValue = (it: Setting) => (it === 'closed' ? form.closedAt !== null || null : form[it]);
  const given = settingNames.filter((it) => ownValue(it) !== null);
  // The schema also puts the keys of each part in a good order, which `jsonb` does not keep.
  return Object.fromEntries(given.map((it) => [it, settingSchemas[it].safeParse(ownValue(it)).data ?? ownValue(it)]));
}
