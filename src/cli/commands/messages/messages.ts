import type { MessageDetails, MessageFilter } from '../../../services/messages/messages.ts';
import type { PageRequest } from '../../../services/paging.ts';
import type { Scope } from '../../../services/scope.ts';
import type { MessageView } from '../../../services/views.ts';
import { heldInWords, type NoReplyReason } from '../../../words.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import type { PageOptions } from '../../session/options.ts';
import { fromOf, previewOf, printPages, unopened } from '../../session/print-page.ts';
import { setExitCode } from '../../session/results.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { maskEmail, maskMessage, maskText } from '../../terminal/mask.ts';
import type { Output } from '../../terminal/output.ts';
import { showProgress } from '../../terminal/progress.ts';
import { showSafe } from '../../terminal/safe-text.ts';
import type { Column } from '../../terminal/table.ts';
import { warnOfPause } from '../emails/pause.ts';
import { adviceOn, emailColumns } from '../emails/screens.ts';
import { loadSearch, warnOfUnopened } from '../find.ts';
import { addMessageChanges, whichMessage } from './change.ts';
import { addExportCommand } from './export.ts';
import { addMessageFilter, type MessageFilterOptions, messageFilterOf, withSender } from './filter.ts';
import { addReleaseCommand } from './release.ts';
import { addReplyCommand } from './reply.ts';

export function addMessageCommands(program: CliCommand): void {
  const messages = program
    .command('messages')
    .description('Stored messages: show, answer, hold, release and export them');

  addMessageFilter(messages.command('list'))
    .description('List messages, newest first')
    .option('--match <words...>', 'only with all of these words, as "find" searches them')
    .pageOptions()
    .examples(
      'ruffinweb messages list --since 2d --form contact',
      `ruffinweb messages list --sender ada@example.com --json | jq -r '.items[].receipt'`,
    )
    .run(listMessages);

  messages
    .command('show')
    .description('Show one message in full, with its emails')
    .argument('<message>', whichMessage)
    .dataOptions()
    .examples('ruffinweb messages show latest', 'ruffinweb messages show RW-4K2M9Q7T1X --json')
    .run(showMessage);

  addReplyCommand(messages);
  addReleaseCommand(messages);
  addMessageChanges(messages);
  addExportCommand(messages);
}

const loadMessages = () => import('../../../services/messages/messages.ts');

async function listMessages(call: Call<PageOptions & MessageFilterOptions & { match?: string[] }>): Promise<void> {
  const { deps, options, output } = call;
  const filter = messageFilterOf(options);
  await runInScope(deps, loadMessages, async (scope, { listMessages }) => {
    const limits = await withSender(scope, filter);
    const read = (page: PageRequest) =>
      options.match === undefined
        ? listMessages(scope, { ...page, ...limits })
        : readMatches(call, scope, options.match, { ...page, ...limits });
    await printPages(call, read, {
      columns: (items) => messageColumns(output, items),
      mask: maskMessage,
      whenEmpty:
        Object.keys(filter).length > 0 || options.match || options.cursor
          ? 'No message matches. Leave out a filter to see more.'
          : 'No message yet. Post to /api/messages, or open the landing page.',
    });
  });
}

async function readMatches(call: Call, scope: Scope, given: readonly string[], request: PageRequest & MessageFilter) {
  const { deps, options, output } = call;
  const { listMatches, readWords } = await loadSearch();
  const words = readWords(given);
  const stop = deps.stopGently();
  using progress = showProgress(deps, options, undefined, 'searched');
  const { unopened, ...found } = await listMatches(scope, words, request, { stop, onProgress: progress.report });
  progress.clear();
  warnOfUnopened(output, unopened);
  setExitCode(deps, stop, unopened > 0);
  return found;
}

async function showMessage({ deps, options, output }: Call, which: string): Promise<void> {
  const found = await runInScope(deps, loadMessages, async (scope, { showMessage }) => {
    const { findNamedMessage } = await import('../../../services/find-named.ts');
    const shown = await showMessage(scope, (await findNamedMessage(scope, which)).id);
    if (shown.emails.some((it) => it.state === 'queued')) await warnOfPause(output, scope, options);
    return shown;
  });
  const message = options.mask ? maskDetails(found) : found;
  output.printResult(message, () => printMessage(output, message));
}

function maskDetails(message: MessageDetails): MessageDetails {
  const clientAddress = message.clientAddress && '***';
  const emails = message.emails.map((it) => ({
    ...maskEmail(it),
    ...(it.text && { text: maskText(it.text, message.name) }),
  }));
  return { ...maskMessage(message), clientAddress, emails };
}

/** @param rows the rows to show. If all are held, a column says why; otherwise STATUS names the ones that are not accepted. */
export function messageColumns(output: Output, rows: readonly MessageView[]): Column<MessageView>[] {
  const { style } = output;
  const status: Column<MessageView> = {
    header: 'STATUS',
    text: (it) => it.status,
    style: (text, it) => (it.status === 'held' ? style.warning(text) : text),
  };
  const why: Column<MessageView> = { header: 'WHY HELD', text: (it) => heldInWords(it.reasons), minWidth: 28 };
  const name: Column<MessageView> = { header: 'NAME', text: (it) => it.name ?? '', minWidth: 8, omit: 4 };
  // There is no room for names and addresses: a name says more.
  const isNarrow = output.width < 100;
  const isMixed = rows.some((it) => it.status !== 'held');
  return [
    { header: 'RECEIPT', text: (it) => it.receipt },
    { header: 'RECEIVED', text: (it) => output.timeInList(it.receivedAt), omit: 1 },
    ...(isMixed && rows.some((it) => it.status !== 'accepted') ? [status] : []),
    { header: 'FORM', text: (it) => it.form, minWidth: 7, omit: 3 },
    {
      header: 'FROM',
      text: (it) => (isNarrow ? it.name : null) ?? fromOf(it),
      style: (text, it) => (fromOf(it) === unopened ? style.bad(text) : text),
      minWidth: 10,
    },
    ...(isMixed ? [] : [why]),
    ...(isNarrow ? [] : [name]),
    { header: 'MESSAGE', text: previewOf, style: style.dim, minWidth: 16, omit: 2 },
  ];
}

/** A later release may store other reasons. */
const noReplyWords: Readonly<Record<NoReplyReason, string>> = {
  off: 'the form sends none',
  held: 'the message was held',
  'no-address': 'the message has no address',
  address: 'mail to this address reaches a program, a list or ourselves',
  'opted-out': 'this mailbox wants none',
  'mailbox-limit': 'this mailbox got one within a day',
  'form-limit': 'the form sent 100 this hour',
  'network-limit': 'this client network caused 10 this hour',
  'domain-limit': 'this domain got 20 this hour',
};

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
    ['reasons', message.reasons.length > 0 ? heldInWords(message.reasons) : null],
    ['auto-reply', message.noReply && `none, because ${noReplyWords[message.noReply] ?? message.noReply}`],
    ['client', message.clientAddress],
    ['sender', message.senderId ?? '–', style.dim],
    ['id', message.id, style.dim],
  ]);
  if (message.message !== '') {
    output.print();
    output.printText(message.message ?? unopened);
  }
  for (const [field, text] of Object.entries(message.extra ?? {})) {
    output.print();
    output.print(style.dim(showSafe(field)));
    output.printText(text);
  }
  for (const { text, state, sentAt, createdAt } of message.emails) {
    if (text === undefined) continue;
    output.print();
    output.print(style.dim(`reply of ${output.time(createdAt)}${sentAt === null ? `, ${state}` : ''}`));
    output.printText(text ?? unopened);
  }
  if (message.emails.length > 0) {
    output.print();
    const columns = emailColumns(output, message.emails).filter(
      (it) => it.header !== 'RECEIPT' && it.header !== 'FORM',
    );
    output.printTable(message.emails, columns);
  }
  const failed = message.status === 'held' ? [] : message.emails.filter((it) => it.state === 'failed');
  for (const advice of new Set(failed.map((it) => adviceOn(it, message.receipt)))) output.note(`\n${advice}`);
  if (message.status !== 'held') return;
  const hasMail = message.emails.some((it) => it.state === 'held' && it.kind !== 'auto-reply');
  output.note(`\nNot spam?${hasMail ? ' Send its mail:' : ''} ruffinweb messages release ${message.receipt}`);
}
