import type { Command } from 'commander';
import type { Imported } from '../../services/django-import/import-report.ts';
import type { OldFault } from '../../services/django-import/read-old-message.ts';
import { exitCode } from '../session/exit-codes.ts';
import { addExamples, optionsOf } from '../session/options.ts';
import { runInScope } from '../session/run-in-scope.ts';
import type { Deps } from '../terminal/deps.ts';
import { type GlobalOptions, Output } from '../terminal/output.ts';
import { showProgress } from '../terminal/progress.ts';
import { formatExact } from '../terminal/times.ts';

interface ImportOptions extends GlobalOptions {
  form: string;
  timeZone: string;
  dryRun?: boolean;
  json?: boolean;
}

export function addImportCommands(program: Command, deps: Deps): void {
  const imports = program.command('import').description('Take over what another program has kept');

  const django = imports
    .command('django')
    .description('Take over the messages and senders of the Django backend; sends no mail, can be run again')
    .argument('<url>', 'postgresql://… or an SQLite file: a path, or sqlite:///…')
    .option('--form <slug>', 'the form that the messages become part of', 'contact')
    .option('--time-zone <zone>', 'of dates that name none, such as Europe/Amsterdam', 'UTC')
    .option('--dry-run', 'only say what would happen')
    .option('--json', 'print JSON')
    .action(async (url: string, _options, command: Command) => {
      const options = optionsOf<ImportOptions>(command);
      const output = new Output(deps, options);
      const stop = deps.stopGently();
      const load = () =>
        Promise.all([
          import('../../services/django-import/import-django.ts'),
          import('../../services/django-import/read-old-message.ts'),
          import('../../database/django/old-database.ts'),
          import('../../database/django/open-old-database.ts'),
        ]);
      await runInScope(
        deps,
        load,
        async (scope, [{ importDjango }, { oldFaults }, { countOldMessages }, { openOldDatabase }]) => {
          await using old = await openOldDatabase(url);
          using progress = showProgress(deps, options, await countOldMessages(old), 'messages read');
          const imported = await importDjango(scope, old, {
            form: options.form,
            timeZone: options.timeZone,
            dryRun: options.dryRun ?? false,
            stop,
            onProgress: progress.report,
            onFault(id, faults) {
              progress.clear();
              output.warn(`message ${id} is not taken: ${faults.map((it) => oldFaults[it]).join('; ')}`);
            },
            onErased(id) {
              progress.clear();
              output.note(`message ${id} is not taken: its sender was erased here since`);
            },
          });
          progress.clear();
          if (options.json) output.printJson(imported);
          else printImported(output, imported, oldFaults);
          if (stop.aborted) deps.setExitCode(exitCode.interrupted);
          else if (imported.messages.notTaken > 0) deps.setExitCode(exitCode.refused);
        },
      );
    });
  addExamples(django, [
    'ruffinweb import django /srv/old/db.sqlite3 --dry-run',
    'PGPASSWORD=… ruffinweb import django postgresql://django@db.example.com/site?sslmode=require',
  ]);
}

function printImported(output: Output, imported: Imported, texts: Readonly<Record<OldFault, string>>): void {
  const { messages, senders, faults, dryRun, complete } = imported;
  const { style } = output;
  const exact = (at: string) => formatExact(new Date(at));
  output.printDetails([
    ['form', imported.form],
    ['messages read', String(messages.found)],
    [dryRun ? 'would be taken' : 'taken', String(messages.taken), style.good],
    ['taken before', String(messages.takenBefore)],
    ['sender was erased', messages.erased > 0 ? String(messages.erased) : null],
    ['not taken', String(messages.notTaken), messages.notTaken > 0 ? style.bad : undefined],
    // As the texts have it, an index signature would not.
    ...(Object.keys(faults) as OldFault[]).map((it): [string, string] => [`  ${texts[it]}`, String(faults[it])]),
    ['written', imported.period && `${exact(imported.period.first)} to ${exact(imported.period.last)}`],
    ['new senders', senders.new === null ? null : String(senders.new)],
  ]);
  const { assumed, messages: unzoned } = imported.timeZone;
  if (unzoned > 0) {
    output.note(`\nDates that name no time zone: ${unzoned}, read as ${assumed}; --time-zone says another.`);
  }
  const { days, past } = imported.retention;
  if (past > 0) {
    output.note(
      `\nTaken, but older than the ${days} days that messages are kept: ${past}; the next purge removes them.`,
    );
  }
  if (messages.notTaken > 0) output.note('\nCorrect these rows in the old database and run this again.');
  if (dryRun) output.note('\nNothing was changed.');
  if (!complete) output.note('\nEnded before all was read: run this again to go on.');
}
