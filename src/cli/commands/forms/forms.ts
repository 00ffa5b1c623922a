import { type Command, Option } from 'commander';
import { addExamples, optionsOf } from '../../session/options.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import type { Deps } from '../../terminal/deps.ts';
import { Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';
import { addSettings, type ChangeOptions, changesOf, resettable, type SettingOptions, settingsOf } from './options.ts';
import { printForm, printForms } from './screens.ts';

export function addFormCommands(program: Command, deps: Deps): void {
  const forms = program.command('forms').description('Public forms: each with its address and its own settings');

  const list = forms
    .command('list')
    .description('List the forms')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      const items = await runInScope(deps, loadForms, (scope, { listForms }) => listForms(scope));
      if (options.json) output.printJson({ items, next: null });
      else printForms(output, items);
    });
  addExamples(list, [
    'ruffinweb forms list',
    `ruffinweb forms list --json | jq -r '.items[] | select(.state == "open") | .address'`,
  ]);

  const add = forms
    .command('add')
    .description('Make a form, and print the HTML to paste into a page')
    .argument('<slug>', 'what stands in its address: small letters, digits and -')
    .action(async (slug: string, _options, command: Command) => {
      const options = optionsOf<SettingOptions>(command);
      const output = new Output(deps, options);
      const { form, snippet } = await runInScope(deps, loadForms, async (scope, { addForm }) => {
        const added = await addForm(scope, slug, settingsOf(options));
        const { formSnippet } = await import('../../../services/forms/form-snippet.ts');
        return { form: added, snippet: formSnippet(scope.config.publicUrl, added) };
      });
      if (options.json) {
        output.printJson({ ...form, snippet });
        return;
      }
      output.note(
        `The form "${slug}" is there. Posts go to ${form.address}, and mail to ${form.effective.recipients.join(', ')}.\n`,
      );
      for (const line of snippet.split('\n')) output.print(showSafe(line));
    });
  addSettings(add);
  addExamples(add, [
    'ruffinweb forms add shop --to shop@example.com --require company',
    'ruffinweb forms add jobs --captcha altcha --auto-reply off --retention 180 > jobs.html',
  ]);

  const show = forms
    .command('show')
    .description('Show one form and what is in force for it')
    .argument('<slug>', 'as shown by "forms list"')
    .option('--utc', 'print exact times')
    .option('--json', 'print JSON')
    .action(async (slug: string, _options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      const form = await runInScope(deps, loadForms, (scope, { showForm }) => showForm(scope, slug));
      if (options.json) output.printJson(form);
      else printForm(output, form);
    });
  addExamples(show, ['ruffinweb forms show contact', 'ruffinweb forms show contact --json']);

  const change = forms
    .command('change')
    .description('Change settings of a form; what is not named stays')
    .argument('<slug>', 'as shown by "forms list"')
    .option('--slug <slug>', 'a new slug; pages that post to the old address must be changed too')
    .addOption(new Option('--reset <setting...>', 'back to what the environment says').choices(Object.keys(resettable)))
    .option('--reopen', 'take messages again')
    .action(async (slug: string, _options, command: Command) => {
      const options = optionsOf<ChangeOptions>(command);
      const output = new Output(deps, options);
      const changes = changesOf(options);
      const form = await runInScope(deps, loadForms, (scope, { changeForm }) => changeForm(scope, slug, changes));
      if (options.json) output.printJson(form);
      else printForm(output, form);
    });
  addSettings(change);
  addExamples(change, [
    'ruffinweb forms change shop --to shop@example.com office@example.com --reset captcha',
    'ruffinweb forms change shop --reopen',
  ]);

  const close = forms
    .command('close')
    .description('Take no more messages: posts are answered 410; what is stored stays')
    .argument('<slug>', 'as shown by "forms list"')
    .option('--json', 'print JSON')
    .action(async (slug: string, _options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      const form = await runInScope(deps, loadForms, (scope, { changeForm }) =>
        changeForm(scope, slug, { open: false }),
      );
      if (options.json) output.printJson(form);
      else {
        printForms(output, [form]);
        output.note(`\nOpen it again: ruffinweb forms change ${form.slug} --reopen`);
      }
    });
  addExamples(close, ['ruffinweb forms close shop', 'ruffinweb forms close shop --json']);
}

const loadForms = () => import('../../../services/forms/form-settings.ts');
