import { Option } from 'commander';
import type { FormView } from '../../../services/forms/view-form.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import type { Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';
import type { ChangeOptions } from './options.ts';

export function addFormHtml(forms: CliCommand): void {
  forms
    .command('html')
    .description('Print the HTML of a form as it is now, to paste into a page')
    .argument('<slug>', 'as shown by "forms list"')
    .addOption(new Option('--fetch', 'with a script of your own instead of form.js').conflicts('react'))
    .option('--react', 'a React component')
    .jsonOption()
    .examples('ruffinweb forms html shop > form.html', 'ruffinweb forms html shop --react > ContactForm.jsx')
    .run(printHtml);
}

async function printHtml({ deps, options, output }: Call<{ fetch?: boolean; react?: boolean }>, slug: string) {
  const load = () => import('../../../services/forms/form-settings.ts');
  const { form, publicUrl, snippet } = await runInScope(deps, load, async (scope, { showForm }) => {
    const form = await showForm(scope, slug);
    const { formSnippet } = await import('../../../services/forms/form-snippet.ts');
    const { fetchSnippet, reactSnippet } = await import('../../../services/forms/script-snippets.ts');
    const make = options.react ? reactSnippet : options.fetch ? fetchSnippet : formSnippet;
    return { form, publicUrl: scope.config.publicUrl, snippet: make(scope.config, form) };
  });
  output.printResult({ slug: form.slug, snippet }, () => {
    printSnippet(output, snippet);
    if (form.state === 'closed') output.warn(`\nThis form is closed: ruffinweb forms change ${slug} --reopen`);
    const isScript = options.react || options.fetch;
    if (isScript && form.effective.captcha === 'altcha') {
      output.note('\nIts script needs a bundler and the package altcha-lib; form.js needs neither.');
    }
    if (!isScript) output.note(`\nA style sheet to start with: <link rel="stylesheet" href="${publicUrl}/form.css">`);
  });
}

export function printSnippet(output: Output, snippet: string): void {
  for (const line of snippet.split('\n')) output.print(showSafe(line));
}

/** After a change that the form's pages must follow: says so, with the command that prints the new HTML. */
export function printPageHint(output: Output, { slug }: FormView, options: ChangeOptions): void {
  const { require, fields, optional, captcha, origin, slug: newSlug, reset = [] } = options;
  const isForPages = ['required', 'fields', 'optional', 'captcha', 'origins'].some((it) =>
    reset.some((name) => name === it),
  );
  if (!require && !fields && !optional && !captcha && !origin && !newSlug && !isForPages) return;
  output.note(`\nChange the pages that use this form. Their new HTML: ruffinweb forms html ${slug}`);
}
