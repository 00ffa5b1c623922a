import { createReadStream } from 'node:fs';
import { addAbortSignal } from 'node:stream';
import { InvalidArgumentError } from 'commander';
import type { ImportRequest } from '../../services/imports/import-messages.ts';
import { type Imported, type ImportFault, importFaults } from '../../services/imports/import-report.ts';
import type { Call, CliCommand } from '../session/command.ts';
import { setExitCode } from '../session/results.ts';
import { runInScope } from '../session/run-in-scope.ts';
import type { Output } from '../terminal/output.ts';
import { showProgress } from '../terminal/progress.ts';
import { showSafe } from '../terminal/safe-text.ts';

interface ImportOptions {
  form: string;
  timeZone: string;
}

interface CsvOptions extends ImportOptions {
  map?: Map<string, string>;
}

export function addImportCommands(program: CliCommand): void {
  const imports = program.command('import').description('Import the data of another program');

  addSharedOptions(imports.command('django'))
    .description('Import messages and senders from the Django backend; sends no mail, can be run again')
    .argument('<url>', 'postgresql://… or an SQLite file: a path, or sqlite:///…')
    .examples(
      'ruffinweb import django /srv/old/db.sqlite3 --dry-run',
      'PGPASSWORD=… ruffinweb import django postgresql://django@db.example.com/site?sslmode=require',
    )
    .run(importFromDjango);

  addSharedOptions(imports.command('csv'))
    .description('Import messages from a CSV file of another service; sends no mail, can be run again')
    .argument('<file>', 'a path, or - for stdin; its first line names the columns')
    .option('--map <pairs>', 'which column is email, name, subject, message, receivedAt or a field of yours', readMap)
    .examples(
      'ruffinweb import csv formspree.csv --dry-run',
      'ruffinweb import csv old.csv --form contact --map email=Email,message=Nachricht,receivedAt=Date',
    )
    .run(importFromCsv);
}

function addSharedOptions(command: CliCommand): CliCommand {
  return command
    .option('--form <slug>', 'the form to import into', 'contact')
    .option('--time-zone <zone>', 'of dates without a time zone, such as Europe/Amsterdam', 'UTC')
    .option('--dry-run', 'only say what would happen')
    .jsonOption();
}

/** A header may contain commas: one begins the next pair only if a name and `=` follow. */
function readMap(text: string, before: Map<string, string> = new Map()): Map<string, string> {
  for (const pair of text.split(/,(?=[^,=]+=)/)) {
    const [, target, header = ''] = /^([^=]+)=(.*)$/s.exec(pair)?.map((it) => it.trim()) ?? [];
    if (!target || before.has(target))
      throw new InvalidArgumentError('Write each once, as in email=Email,message=Text.');
    before.set(target, header);
  }
  return before;
}

const loadImport = async () => ({
  ...(await import('../../services/imports/django/import-django.ts')),
  ...(await import('../../services/imports/csv/import-csv.ts')),
  ...(await import('../../database/django/old-database.ts')),
  ...(await import('../../database/django/open-old-database.ts')),
});

async function importFromDjango(call: Call<ImportOptions>, url: string): Promise<void> {
  const stop = call.deps.stopGently();
  await runInScope(call.deps, loadImport, async (scope, services) => {
    await using old = await services.openOldDatabase(url);
    const total = await services.countOldMessages(old);
    await runImport(call, 'message', total, stop, async (it) => await services.importDjango(scope, old, it));
  });
}

async function importFromCsv(call: Call<CsvOptions>, path: string): Promise<void> {
  const stop = call.deps.stopGently();
  await runInScope(call.deps, loadImport, async (scope, { importCsv }) => {
    const stream = addAbortSignal(stop, path === '-' ? call.deps.stdin : createReadStream(path));
    // Node's error about a folder does not name it.
    stream.on('error', (error: Error) => Object.assign(error, { path }));
    const name = path === '-' ? 'stdin' : path;
    const file = { name, bytes: stream.iterator(), map: call.options.map ?? new Map() };
    await runImport(call, 'line', undefined, stop, async (it) => await importCsv(scope, file, it));
  });
}

/** @param row what a row is called. @param total how many there are, if known. */
async function runImport(
  { deps, options, output }: Call<ImportOptions>,
  row: string,
  total: number | undefined,
  stop: AbortSignal,
  work: (request: ImportRequest) => Promise<Imported>,
): Promise<void> {
  using progress = showProgress(deps, options, total, 'messages read');
  const imported = await work({
    form: options.form,
    timeZone: options.timeZone,
    dryRun: options.dryRun ?? false,
    stop,
    onProgress: progress.report,
    onFault(id, faults) {
      progress.clear();
      output.warn(`${row} ${id} is not imported: ${faults.map((it) => importFaults[it]).join('; ')}`);
    },
    onErased(id) {
      progress.clear();
      output.note(`${row} ${id} is not imported: its sender was erased here`);
    },
    onColumns: (columns) => options.dryRun && !options.json && printColumns(output, columns),
  });
  progress.clear();
  output.printResult(imported, () => printImported(output, imported));
  setExitCode(deps, stop, imported.messages.notTaken > 0);
}

/** Another mapping makes other messages, so it is to be right the first time. */
function printColumns(output: Output, columns: readonly (readonly [header: string, name: string])[]): void {
  const parts = ['email', 'name', 'subject', 'message', 'receivedAt'];
  const headerOf = (part: string) => columns.find(([, name]) => name === part)?.[0] ?? 'no column';
  for (const part of parts) output.note(`${part}: ${showSafe(headerOf(part))}`);
  const others = columns.map(([, name]) => name).filter((it) => it !== '' && !parts.includes(it));
  if (others.length > 0) output.note(`further fields: ${showSafe(others.join(', '))}`);
  output.note('');
}

function printImported(output: Output, imported: Imported): void {
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
    ...(Object.keys(faults) as ImportFault[]).map((it, index): [string, string] => [
      index === 0 ? 'reasons' : '',
      `${faults[it]} × ${importFaults[it]}`,
    ]),
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
  if (messages.notTaken > 0) output.note('\nCorrect these rows in the source and run this again.');
  if (dryRun) output.note('\nNothing was changed.');
  if (!complete) output.note('\nStopped before everything was read: run this again to continue.');
}
