import { type Command, Option } from 'commander';
import type { MessageView } from '../../../services/views.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { addExamples, optionsOf } from '../../session/options.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { formatCsvLine } from '../../terminal/csv.ts';
import type { Deps } from '../../terminal/deps.ts';
import { maskMessage } from '../../terminal/mask.ts';
import { type GlobalOptions, Output, plural } from '../../terminal/output.ts';
import { showProgress } from '../../terminal/progress.ts';
import { safeJson, showSafe } from '../../terminal/safe-text.ts';
import { writePieces } from '../../terminal/write-pieces.ts';
import { addMessageFilter, type MessageFilterOptions, messageFilterOf } from './filter.ts';

const formats = ['csv', 'jsonl'] as const;

interface ExportOptions extends GlobalOptions, MessageFilterOptions {
  format: (typeof formats)[number];
  json?: boolean;
  mask?: boolean;
}

export function addExportCommand(messages: Command, deps: Deps): void {
  const command = messages
    .command('export')
    .description('Write messages to stdout, the oldest first: CSV to look at, JSON Lines to take along')
    .addOption(new Option('--format <format>', 'which of the two').choices(formats).default('csv'))
    .action(async (_options, self: Command) => {
      const options = optionsOf<ExportOptions>(self);
      const output = new Output(deps, options);
      const filter = messageFilterOf(options, new Date());
      const stop = deps.stopGently();
      const load = () => import('../../../services/messages/export-messages.ts');
      await runInScope(deps, load, async (scope, { countMessages, exportMessages }) => {
        // Before the first line is written: a filter that is wrong leaves no file with a header alone.
        const [total, pages] = [await countMessages(scope, filter), await exportMessages(scope, filter)];
        // On a terminal the rows themselves are what moves.
        using progress = showProgress(deps, options, deps.stdout.isTTY ? 0 : total, 'exported');
        let exported = 0;
        const lines = async function* () {
          const isCsv = options.format === 'csv' && !options.json;
          if (isCsv) yield formatCsvLine(columns.map(([name]) => name));
          for await (const views of pages) {
            yield views
              .map((view) => (options.mask ? maskMessage(view) : view))
              .map((view) =>
                isCsv ? formatRow(view, deps.stdout.isTTY === true) : `${safeJson(view, { oneLine: true })}\n`,
              )
              .join('');
            exported += views.length;
            progress.report(exported);
          }
        };
        await writePieces(deps, lines(), stop);
        progress[Symbol.dispose]();
        if (stop.aborted) deps.setExitCode(exitCode.interrupted);
        output.note(`${plural(exported, 'message')} exported${stop.aborted ? ', not all' : ''}`);
      });
    });
  addMessageFilter(command).option('--mask', 'hide addresses and names').option('--json', 'the same as --format jsonl');
  addExamples(command, [
    'ruffinweb messages export --since 2026-11-01 > november.csv',
    `ruffinweb messages export --format jsonl --form contact | jq -r .email | sort -u`,
  ]);
}

/** Further fields differ from message to message, so that they are together in one column, as JSON. */
const columns: readonly [name: string, text: (view: MessageView) => string | null][] = [
  ['receipt', (it) => it.receipt],
  ['receivedAt', (it) => it.receivedAt],
  ['form', (it) => it.form],
  ['status', (it) => it.status],
  ['reasons', (it) => it.reasons.join(' ')],
  ['email', (it) => it.email],
  ['name', (it) => it.name],
  ['subject', (it) => it.subject],
  ['message', (it) => it.message],
  ['extra', (it) => (it.extra === null || Object.keys(it.extra).length === 0 ? null : JSON.stringify(it.extra))],
  ['senderId', (it) => it.senderId],
  ['id', (it) => it.id],
];

function formatRow(view: MessageView, isTerminal: boolean): string {
  const cells = columns.map(([, text]) => text(view) ?? '');
  // A file holds what was written, line breaks in quotes; a terminal would obey it, and a line could pass for a row.
  return formatCsvLine(isTerminal ? cells.map((it) => showSafe(it.replaceAll(/\r?\n/g, '⏎'))) : cells);
}
