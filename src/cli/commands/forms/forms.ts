import { Option } from 'commander';
import type { FormView } from '../../../services/forms/view-form.ts';
import type { Scope } from '../../../services/scope.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';
import { type Output, plural } from '../../terminal/output.ts';
import { addFormDelete } from './delete.ts';
import { addFormFile } from './file.ts';
import { addFormHtml, printPageHint, printSnippet } from './html.ts';
import { addSettings, type ChangeOptions, changesOf, resettable, type SettingOptions, settingsOf } from './options.ts';
import { incompleteNote, printForm, printForms } from './screens.ts';

export function addFormCommands(program: CliCommand): void {
  const forms = program.command('forms').description('Public forms: each has its own address and settings');

  forms
    .command('list')
    .description('List the forms, with their messages and when the last one came')
    .jsonOption()
    .examples(
      'ruffinweb forms list',
      `ruffinweb forms list --json | jq -r '.items[] | select(.state == "open") | .address'`,
    )
    .run(listForms);

  addSettings(forms.command('add'))
    .description('Add a form, and print the HTML to paste into a page')
    .argument('<slug>', 'its part of the address: small letters, digits and -')
    .jsonOption()
    .examples(
      'ruffinweb forms add shop --to shop@example.com --require company',
      'ruffinweb forms add jobs --captcha altcha --auto-reply off --retention 180 > jobs.html',
    )
    .run(addForm);

  forms
    .command('show')
    .description('Show one form and the settings in force for it')
    .argument('<slug>', 'as shown by "forms list"')
    .jsonOption()
    .examples('ruffinweb forms show contact', 'ruffinweb forms show contact --json')
    .run(showForm);

  addFormHtml(forms);

  addSettings(forms.command('change'))
    .description('Change the given settings of a form; the others stay')
    .argument('<slug>', 'as shown by "forms list"')
    .option('--slug <slug>', 'a new slug; pages that post to the old address must be changed too')
    .addOption(
      new Option('--reset <setting...>', 'use the value from the environment again').choices(Object.keys(resettable)),
    )
    .option('--reopen', 'accept messages again')
    .option('--yes', 'do not ask, even if messages will be deleted')
    .jsonOption()
    .examples(
      'ruffinweb forms change shop --to shop@example.com office@example.com --reset captcha',
      'ruffinweb forms change shop --reopen',
    )
    .run(changeForm);

  forms
    .command('close')
    .description('Accept no more messages: posts are answered 410; stored messages stay')
    .argument('<slug>', 'as shown by "forms list"')
    .jsonOption()
    .examples('ruffinweb forms close shop', 'ruffinweb forms close shop --json')
    .run(closeForm);

  addFormDelete(forms);
  addFormFile(forms);
}

const loadForms = () => import('../../../services/forms/form-settings.ts');

async function listForms({ deps, output }: Call): Promise<void> {
  const load = () => import('../../../services/forms/list-forms.ts');
  const items = await runInScope(deps, load, (scope, { listFormsWithCounts }) => listFormsWithCounts(scope));
  output.printResult({ items, next: null }, () => printForms(output, items));
}

async function addForm({ deps, options, output }: Call<SettingOptions>, slug: string): Promise<void> {
  const { form, snippet } = await runInScope(deps, loadForms, async (scope, { addForm }) => {
    const added = await addForm(scope, slug, settingsOf(options, new Date()));
    const { formSnippet } = await import('../../../services/forms/form-snippet.ts');
    return { form: added, snippet: formSnippet(scope.config, added) };
  });
  output.printResult({ ...form, snippet }, () => {
    const recipients = form.effective.recipients.join(', ');
    output.note(`The form "${slug}" was added. Posts go to ${form.address}, and mail to ${recipients}.\n`);
    printSnippet(output, snippet);
    noteIncomplete(output, form);
  });
}

async function showForm({ deps, output }: Call, slug: string): Promise<void> {
  const form = await runInScope(deps, loadForms, (scope, { showForm }) => showForm(scope, slug));
  output.printResult(form, () => printForm(output, form));
}

async function changeForm(call: Call<ChangeOptions>, slug: string): Promise<void> {
  const { deps, options, output } = call;
  const changes = changesOf(options, new Date());
  const { before, form } = await runInScope(deps, loadForms, async (scope, { showForm, changeForm }) => {
    const before = await showForm({ ...scope, em: scope.em.fork() }, slug);
    if (changes.retentionDays !== undefined)
      await askToDelete(call, scope, before, changes.retentionDays ?? scope.config.retentionDays);
    return { before, form: await changeForm(scope, slug, changes) };
  });
  output.printResult(form, () => {
    printForm(output, form);
    const required = (form.requiredFields ?? []).filter((it) => !before.requiredFields?.includes(it));
    if (required.length > 0)
      output.note(`\nPosts without ${required.join(', ')} are refused from now on: add what is missing to each page.`);
    printPageHint(output, form, options);
    noteIncomplete(output, form, before);
  });
}

/** @param before the form before a change. */
function noteIncomplete(output: Output, form: FormView, before?: FormView): void {
  const isComplete = ({ effective: { requiredFields, emailField } }: FormView) =>
    ['message', emailField].every((it) => it !== null && requiredFields.includes(it));
  if (isComplete(form) || (before && !isComplete(before))) return;
  output.note(incompleteNote);
}

/** A shorter retention deletes messages at the next purge. */
async function askToDelete({ deps, options, output }: Call, scope: Scope, form: FormView, days: number): Promise<void> {
  const { countExpiring } = await import('../../../services/maintenance/purge-preview.ts');
  // A longer one is refused anyway.
  const count = await countExpiring(scope, form.id, Math.min(days, 36_500));
  if (count === 0) return;
  output.warn(`${plural(count, 'message')} of "${form.slug}" will be deleted within the hour, with their emails.`);
  await confirmOrRefuse(deps, options, `Keep messages for ${plural(days, 'day')} only?`);
}

async function closeForm({ deps, output }: Call, slug: string): Promise<void> {
  const form = await runInScope(deps, loadForms, (scope, { changeForm }) => changeForm(scope, slug, { open: false }));
  output.printResult(form, () => {
    printForms(output, [form]);
    output.note(`\nTo open it again: ruffinweb forms change ${form.slug} --reopen`);
  });
}
