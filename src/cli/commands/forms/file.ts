import { relative } from 'node:path';
import type { FormChange, FormChanges } from '../../../services/forms/file/apply-form-file.ts';
import type { Scope } from '../../../services/scope.ts';
import { readBytes } from '../../../text-file.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { openConfig } from '../../session/open-context.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';
import { type Output, plural } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';
import { formSchemaPath } from '../../version.ts';
import { changedParts } from './changed-parts.ts';
import { incompleteNote } from './screens.ts';

const whichFile = 'a file as "forms export" writes it';

export function addFormFile(forms: CliCommand): void {
  forms
    .command('export')
    .description('Print every form and its settings as YAML, for "forms apply"')
    .examples('ruffinweb forms export > forms.yaml', 'ruffinweb forms export | grep -A 9 shop:')
    .run(exportForms);

  forms
    .command('validate')
    .description('Check a file with forms; needs no database, but the settings of the server')
    .argument('<file>', whichFile)
    .jsonOption()
    .examples('ruffinweb forms validate forms.yaml', 'ruffinweb forms validate forms.yaml --json')
    .run(validateFile);

  forms
    .command('diff')
    .description('Show how a file and the forms differ; exits 4 if they do')
    .argument('<file>', whichFile)
    .jsonOption()
    .examples('ruffinweb forms diff forms.yaml', 'ruffinweb forms diff forms.yaml --json')
    .run(diffFile);

  forms
    .command('apply')
    .description('Add and change forms until they are as in a file; messages are never deleted')
    .argument('<file>', whichFile)
    .option('--prune', 'delete forms that the file lacks; those in use are closed')
    .option('--dry-run', 'only show the changes')
    .option('--yes', 'do not ask, even if forms are closed or deleted, or are kept shorter')
    .jsonOption()
    .examples('ruffinweb forms apply forms.yaml --dry-run', 'ruffinweb forms apply forms.yaml --prune --yes')
    .run(applyFile);
}

const loadApply = () => import('../../../services/forms/file/apply-form-file.ts');
const loadReader = () => import('../../../services/forms/file/read-form-file.ts');

async function exportForms({ deps, output }: Call): Promise<void> {
  const load = () => import('../../../services/forms/file/write-form-file.ts');
  const text = await runInScope(deps, load, async (scope, { writeFormFile }) => {
    const { listForms } = await import('../../../services/forms/form-settings.ts');
    return writeFormFile(await listForms(scope), [
      `yaml-language-server: $schema=${relative('', formSchemaPath())}`,
      'Every form, with the settings that differ from the environment. After a change: "ruffinweb forms diff forms.yaml", then',
      '"ruffinweb forms apply forms.yaml". A new slug is a new form: to rename one, use "ruffinweb forms change --slug".',
    ]);
  });
  output.print(text.slice(0, -1));
}

async function validateFile({ deps, output }: Call, file: string): Promise<void> {
  const [scope, { readFormFile }] = await Promise.all([openConfig(deps), loadReader()]);
  const forms = [...readFormFile(scope, file, readBytes(file)).keys()];
  output.printResult({ valid: true, forms }, () => output.print(`The file is right: ${plural(forms.length, 'form')}.`));
}

async function diffFile({ deps, output }: Call, file: string): Promise<void> {
  const { changes, notInFile } = await runInScope(deps, loadApply, async (scope, { compareForms }) =>
    compareForms(scope, (await loadReader()).readFormFile(scope, file, readBytes(file))),
  );
  const differs = changes.length + notInFile.length > 0;
  if (differs) deps.setExitCode(exitCode.unhealthy);
  output.printResult({ differs, changes, notInFile }, () => printChanges(output, { changes, notInFile }));
}

async function applyFile(call: Call<{ prune?: boolean }>, file: string): Promise<void> {
  const { deps, options, output } = call;
  const { prune, dryRun = false, yes } = options;
  const done = await runInScope(deps, loadApply, async (scope, { compareForms, applyFormFile }) => {
    const wanted = (await loadReader()).readFormFile(scope, file, readBytes(file));
    const shown = await compareForms({ ...scope, em: scope.em.fork() }, wanted, prune);
    if (dryRun) return shown;
    if (!yes) await askBefore(call, scope, shown.changes);
    return await applyFormFile(scope, wanted, { prune, shown: yes ? undefined : shown });
  });
  output.printResult({ dryRun, ...done }, () => {
    printChanges(output, done);
    if (done.changes.some((it) => it.action === 'add') && (done.notInFile.length > 0 || prune))
      output.note('A form with a new slug is a new form: messages stay with the old one.');
    for (const { form, settings } of done.changes) {
      const mayLack = settings.some((it) => /^(?:fields|optionalFields)$/.test(it.setting) && it.after !== null);
      if (mayLack) output.note(`\n${form}: ${incompleteNote.trim()}`);
    }
  });
}

/** Visitors will be turned away, or messages deleted. */
async function askBefore({ deps, options, output }: Call, scope: Scope, changes: readonly FormChange[]): Promise<void> {
  const { countExpiring } = await import('../../../services/maintenance/purge-preview.ts');
  const { findFormId } = await import('../../../services/forms/forms.ts');
  const warnings: string[] = [];
  for (const { form, action, settings } of changes.filter((it) => it.action !== 'add')) {
    const after = Object.fromEntries(settings.map((it) => [it.setting, it.after]));
    if (action === 'delete') warnings.push(`"${form}" will be deleted: pages that post to it will fail.`);
    if (after.closed === true || (after.closesAt instanceof Date && after.closesAt <= scope.now()))
      warnings.push(`"${form}" will be closed.`);
    if (after.retentionDays === undefined) continue;
    const days = (after.retentionDays as number | null) ?? scope.config.retentionDays;
    const count = await countExpiring(scope, await findFormId(scope, form), days);
    if (count > 0) warnings.push(`${plural(count, 'message')} of "${form}" will be deleted within the hour.`);
  }
  for (const it of warnings) output.warn(it);
  if (warnings.length > 0) await confirmOrRefuse(deps, options, 'Apply the file?');
}

/** A line for each setting, before and after; a dash means that the form has no setting of its own. */
function printChanges(output: Output, { changes, notInFile }: FormChanges): void {
  const word = (it: unknown) => (it === null ? '–' : showSafe(typeof it === 'string' ? it : JSON.stringify(it)));
  for (const { form, action, settings } of changes) {
    output.print(`${action} ${form}`);
    for (const [part, before, after] of settings.flatMap((it) => changedParts(it.setting, it.before, it.after)))
      output.print(`  ${showSafe(part)}: ${word(before)} → ${word(after)}`);
  }
  if (changes.length === 0) output.note('There is nothing to change.');
  if (notInFile.length > 0) output.note(`Not in the file, and left alone: ${notInFile.join(', ')}`);
}
