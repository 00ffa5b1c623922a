import type { Imported } from '../../services/django-import/import-report.ts';
import type { OldFault } from '../../services/django-import/read-old-message.ts';
import type { Call, CliCommand } from '../session/command.ts';
import { setExitCode } from '../session/results.ts';
import { runInScope } from '../session/run-in-scope.ts';
import type { Output } from '../terminal/output.ts';
import { showProgress } from '../terminal/progress.ts';

interface ImportOptions {
  form: string;
  timeZone: string;
}

export function addImportCommands(program: CliCommand): void {
  const imports = program.command('import').description('Import the data of another program');

  imports
    .command('django')
    .description('Import messages and senders from the Django backend; sends no mail, can be run again')
    .argument('<url>', 'postgresql://… or an SQLite file: a path, or sqlite:///…')
    .option('--form <slug>', 'the form to import into', 'contact')
    .option('--time-zone <zone>', 'of dates without a time zone, such as Europe/Amsterdam', 'UTC')
    .option('--dry-run', 'only say what would happen')
    .jsonOption()
    .examples(
      'ruffinweb import django /srv/old/db.sqlite3 --dry-run',
      'PGPASSWORD=… ruffinweb import django postgresql://django@db.example.com/site?sslmode=require',
    )
    .run(importFromDjango);
}

const loadImport = async () => ({
  ...(await import('../../services/django-import/import-django.ts')),
  ...(await import('../../services/django-import/read-old-message.ts')),
  ...(await import('../../database/django/old-database.ts')),
  ...(await import('../../database/django/open-old-database.ts')),
});

async function importFromDjango({ deps, options, output }: Call<ImportOptions>, url: string): Promise<void> {
  const stop = deps.stopGently();
  await runInScope(deps, loadImport, async (scope, { importDjango, oldFaults, countOldMessages, openOldDatabase }) => {
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
        output.warn(`message ${id} is not imported: ${faults.map((it) => oldFaults[it]).join('; ')}`);
      },
      onErased(id) {
        progress.clear();
        output.note(`message ${id} is not imported: its sender was erased here`);
      },
    });
    progress.clear();
    output.printResult(imported, () => printImported(output, imported, oldFaults));
    setExitCode(deps, stop, imported.messages.notTaken > 0);
  });
}

function printImported(output: Output, imported: Imported, texts: Readonly<Record<OldFault, string>>): void {
  const { messages, senders, faults, dryRun, complete } = imported;
  const { style } = output;
  output.printDetails([
    ['form', imported.form],
    ['messages read', String(messages.found)],
    [dryRun ? 'would be imported' : 'imported', String(messages.taken), style.good],
    ['imported before', String(messages.takenBefore)],
    ['sender was erased', messages.erased > 0 ? String(messages.erased) : null],
    ['not imported', String(messages.notTaken), messages.notTaken > 0 ? style.bad : undefined],
    // `Object.keys` does not know the type of the keys.
    ...(Object.keys(faults) as OldFault[]).map((it): [string, string] => [`  ${texts[it]}`, String(faults[it])]),
    [
      'written',
      imported.period && `${output.exactTime(imported.period.first)} to ${output.exactTime(imported.period.last)}`,
    ],
    ['new senders', senders.new === null ? null : String(senders.new)],
  ]);
  const { assumed, messages: unzoned } = imported.timeZone;
  if (unzoned > 0) {
    output.note(`\nDates without a time zone: ${unzoned}, read as ${assumed}; --time-zone sets another.`);
  }
  const { days, past } = imported.retention;
  if (past > 0) {
    output.note(`\nImported messages older than the retention of ${days} days: ${past}; the next purge removes them.`);
  }
  if (messages.notTaken > 0) output.note('\nCorrect these rows in the old database and run this again.');
  if (dryRun) output.note('\nNothing was changed.');
  if (!complete) output.note('\nStopped before everything was read: run this again to continue.');
}
