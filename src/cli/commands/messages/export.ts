import { Option } from 'commander';
import type { MessageView } from '../../../services/views.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { setExitCode } from '../../session/results.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { formatCsvLine } from '../../terminal/csv.ts';
import { maskMessage } from '../../terminal/mask.ts';
import { plural } from '../../terminal/output.ts';
import { showProgress } from '../../terminal/progress.ts';
import { safeJson, showSafe } from '../../terminal/safe-text.ts';
import { writePieces } from '../../terminal/write-pieces.ts';
import { addMessageFilter, type MessageFilterOptions, messageFilterOf, withSender } from './filter.ts';

const formats = ['csv', 'jsonl'] as const;

interface ExportOptions extends MessageFilterOptions {
  format: (typeof formats)[number];
}

export function addExportCommand(messages: CliCommand): void {
  addMessageFilter(messages.command('export'))
    .description('Write messages to stdout, oldest first: CSV for spreadsheets, JSON Lines for programs')
    .addOption(new Option('--format <format>', 'the format').choices(formats).default('csv'))
    .option('--mask', 'hide addresses and names')
    .option('--json', 'the same as --format jsonl')
    .examples(
      'ruffinweb messages export --since 2026-11-01 > november.csv',
      `ruffinweb messages export --format jsonl --form contact | jq -r .email | sort -u`,
    )
    .run(exportMessages);
}

async function exportMessages({ deps, options, output }: Call<ExportOptions>): Promise<void> {
  const limits = messageFilterOf(options);
  const stop = deps.stopGently();
  const load = () => import('../../../services/messages/export-messages.ts');
  await runInScope(deps, load, async (scope, { countMessages, exportMessages, listDeclared }) => {
    const filter = await withSender(scope, limits);
    const columns = columnsFor(options.form === undefined ? [] : await listDeclared(scope, options.form));
    // Before the first line is written, so that a wrong filter leaves no file with only a header.
    const [total, pages] = [await countMessages(scope, filter), await exportMessages(scope, filter)];
    // On a terminal the rows themselves show the progress.
    using progress = showProgress(deps, options, deps.stdout.isTTY ? 0 : total, 'exported');
    let exported = 0;
    const lines = async function* () {
      const isCsv = options.format === 'csv' && !options.json;
      if (isCsv) yield formatCsvLine(columns.map(([name]) => name));
      for await (const views of pages) {
        const shown = options.mask ? views.map(maskMessage) : views;
        const format = (view: MessageView) =>
          isCsv ? formatRow(columns, view, deps.stdout.isTTY === true) : `${safeJson(view, { oneLine: true })}\n`;
        yield shown.map(format).join('');
        exported += views.length;
        progress.report(exported);
      }
    };
    await writePieces(deps, lines(), stop);
    progress.clear();
    setExitCode(deps, stop);
    output.note(`${plural(exported, 'message')} exported${stop.aborted ? ', not all' : ''}`);
  });
}

type CsvColumn = [name: string, text: (view: MessageView) => string | null];

const firstColumns: readonly CsvColumn[] = [
  ['receipt', (it) => it.receipt],
  ['receivedAt', (it) => it.receivedAt],
  ['form', (it) => it.form],
  ['status', (it) => it.status],
  ['reasons', (it) => it.reasons.join(' ')],
  ['email', (it) => it.email],
  ['name', (it) => it.name],
  ['subject', (it) => it.subject],
  ['message', (it) => it.message],
];
const lastColumns: readonly CsvColumn[] = [
  ['senderId', (it) => it.senderId],
  ['id', (it) => it.id],
];
const takenNames = [...firstColumns, ...lastColumns].map(([name]) => name);

/** Each declared field of the one form has a column; `extra` has all others as JSON, since they differ. */
function columnsFor(declared: readonly string[]): CsvColumn[] {
  const own = declared.filter((it) => it !== 'extra' && !takenNames.includes(it));
  const others = ({ extra }: MessageView) => Object.entries(extra ?? {}).filter(([field]) => !own.includes(field));
  return [
    ...firstColumns,
    ...own.map((field): CsvColumn => [field, (it) => it.extra?.[field] ?? null]),
    ['extra', (it) => (others(it).length > 0 ? safeJson(Object.fromEntries(others(it)), { oneLine: true }) : null)],
    ...lastColumns,
  ];
}

function formatRow(columns: readonly CsvColumn[], view: MessageView, isTerminal: boolean): string {
  const cells = columns.map(([, text]) => text(view) ?? '');
  // A file keeps the text, with line breaks in quotes. On a terminal control codes would run, and a line could pass for a row.
  return formatCsvLine(isTerminal ? cells.map((it) => showSafe(it.replaceAll(/\r?\n/g, '⏎'))) : cells);
}
