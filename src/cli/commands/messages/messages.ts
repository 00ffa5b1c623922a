import type { Command } from 'commander';
import type { MessageDetails } from '../../../services/messages/messages.ts';
import type { MessageView } from '../../../services/views.ts';
import {
  addDataOptions,
  addExamples,
  addPageOptions,
  type ListOptions,
  optionsOf,
  pageOf,
} from '../../session/options.ts';
import { mapPage, printPage, unopened } from '../../session/print-page.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import type { Deps } from '../../terminal/deps.ts';
import { maskEmail, maskMessage } from '../../terminal/mask.ts';
import { Output } from '../../terminal/output.ts';
import type { Column } from '../../terminal/table.ts';
import { emailColumns } from '../emails/screens.ts';
import { addMessageChanges } from './change.ts';
import { addExportCommand } from './export.ts';
import { addMessageFilter, type MessageFilterOptions, messageFilterOf } from './filter.ts';

export function addMessageCommands(program: Command, deps: Deps): void {
  const messages = program
    .command('messages')
    .description('What was posted and stored: look at it, hold it back, release, export');

  const list = messages
    .command('list')
    .description('List messages, the newest first')
    .action(async (_options, command: Command) => {
      const options = optionsOf<ListOptions & MessageFilterOptions>(command);
      const output = new Output(deps, options);
      const filter = messageFilterOf(options, new Date());
      const request = { ...pageOf(options), ...filter };
      const page = await runInScope(deps, loadMessages, (scope, { listMessages }) => listMessages(scope, request));
      printPage(
        output,
        options,
        options.mask ? mapPage(page, maskMessage) : page,
        messageColumns(output, page.items),
        Object.keys(filter).length > 0 || options.cursor
          ? 'No message matches. Leave a filter out to see more.'
          : 'No message yet. Post to /api/messages, or open the landing page.',
      );
    });
  addPageOptions(addMessageFilter(list));
  addExamples(list, [
    'ruffinweb messages list --since 2d --form contact',
    `ruffinweb messages list --sender ada@example.com --json | jq -r '.items[].receipt'`,
  ]);

  const show = messages
    .command('show')
    .description('Show one message in full, with its emails')
    .argument('<message>', 'its receipt, its id, or "latest"')
    .action(async (which: string, _options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      const found = await runInScope(deps, loadMessages, (scope, { showMessage }) => showMessage(scope, which));
      const message = options.mask ? maskDetails(found) : found;
      if (options.json) output.printJson(message);
      else printMessage(output, message);
    });
  addDataOptions(show);
  addExamples(show, ['ruffinweb messages show latest', 'ruffinweb messages show RW-4K2M9Q7T1X --json']);

  addMessageChanges(messages, deps);
  addExportCommand(messages, deps);
}

const loadMessages = () => import('../../../services/messages/messages.ts');

function maskDetails(message: MessageDetails): MessageDetails {
  const clientAddress = message.clientAddress && '***';
  return { ...maskMessage(message), clientAddress, emails: message.emails.map(maskEmail) };
}

/** @param rows what will be shown: a status is given room only where one of them was not accepted. */
export function messageColumns(output: Output, rows: readonly MessageView[]): Column<MessageView>[] {
  const { style } = output;
  const status: Column<MessageView> = {
    header: 'STATUS',
    text: (it) => it.status,
    style: (text, it) => (it.status === 'held' ? style.warning(text) : text),
  };
  return [
    { header: 'RECEIPT', text: (it) => it.receipt },
    { header: 'RECEIVED', text: (it) => output.time(it.receivedAt), omit: 1 },
    ...(rows.some((it) => it.status !== 'accepted') ? [status] : []),
    { header: 'FORM', text: (it) => it.form, least: 7, omit: 3 },
    {
      header: 'FROM',
      text: fromOf,
      style: (text, it) => (fromOf(it) === unopened ? style.bad(text) : text),
      least: 10,
    },
    { header: 'NAME', text: (it) => it.name ?? '', least: 8, omit: 4 },
    { header: 'MESSAGE', text: previewOf, style: style.dim, least: 16, omit: 2 },
  ];
}

/** A message of a later release may have no address. */
function fromOf({ email, message }: MessageView): string {
  return email ?? (message === null ? unopened : '–');
}

function previewOf({ subject, message }: MessageView): string {
  return [subject, message?.slice(0, 300)].filter((text) => text != null).join(' – ');
}

function printMessage(output: Output, message: MessageDetails): void {
  const { style } = output;
  output.printDetails([
    ['receipt', message.receipt, style.bold],
    ['received', output.timeInFull(message.receivedAt)],
    ['from', fromOf(message), fromOf(message) === unopened ? style.bad : undefined],
    ['name', message.name],
    ['subject', message.subject],
    ['form', message.form],
    ['status', message.status, message.status === 'held' ? style.warning : undefined],
    ['reasons', message.reasons.length > 0 ? message.reasons.join(', ') : null],
    ['client', message.clientAddress],
    ['sender', message.senderId ?? '–', style.dim],
    ['id', message.id, style.dim],
  ]);
  output.print();
  output.printText(message.message ?? unopened);
  const extra = Object.entries(message.extra ?? {});
  for (const [field, text] of extra) {
    output.print();
    output.printField(field);
    output.printText(text);
  }
  if (message.emails.length > 0) {
    output.print();
    const columns = emailColumns(output).filter((it) => it.header !== 'RECEIPT' && it.header !== 'FORM');
    output.printTable(message.emails, columns);
  }
  if (message.status === 'held') output.note(`\nNo spam? Send its mail: ruffinweb messages release ${message.receipt}`);
}
