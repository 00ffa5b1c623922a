import type { Command } from 'commander';
import { Problem } from '../../../problems.ts';
import type { MessageView, SenderView } from '../../../services/views.ts';
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
import { maskMessage, maskSender } from '../../terminal/mask.ts';
import { type DataOptions, Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';
import type { Column } from '../../terminal/table.ts';
import { messageColumns } from '../messages/messages.ts';
import { addSenderRights } from './export-and-erase.ts';

export function addSenderCommands(program: Command, deps: Deps): void {
  const senders = program.command('senders').description('People who wrote: one for each address');

  const list = senders
    .command('list')
    .description('List senders, the latest writer first')
    .action(async (_options, command: Command) => {
      const options = optionsOf<ListOptions>(command);
      const output = new Output(deps, options);
      const request = pageOf(options);
      // It reads rows, not entities.
      const page = await runInScope(deps, loadSenders, (scope, { listSenders }) => listSenders(scope, request), []);
      printPage(
        output,
        options,
        options.mask ? mapPage(page, maskSender) : page,
        senderColumns(output, page.items),
        options.cursor
          ? 'No further senders.'
          : 'Nobody has written yet. Post to /api/messages, or open the landing page.',
      );
    });
  addPageOptions(list);
  addExamples(list, ['ruffinweb senders list --limit 10', `ruffinweb senders list --json | jq -r '.items[].email'`]);

  const show = senders
    .command('show')
    .description('Show one sender and the newest messages')
    .argument('[id]', 'as shown by "senders list --json"')
    .option('--email <address>', 'find by address')
    .action(async (id: string | undefined, _options, command: Command) => {
      const options = optionsOf<DataOptions & { email?: string }>(command);
      const output = new Output(deps, options);
      const which = chooseOne(id, options.email);
      const { found, newest } = await runInScope(deps, loadSenders, async (scope, { showSender }) => {
        const found = await showSender(scope, which);
        if (options.json) return { found, newest: [] };
        const { listMessages } = await import('../../../services/messages/messages.ts');
        return { found, newest: (await listMessages(scope, { sender: found.id, limit: 5 })).items };
      });
      const sender = options.mask ? maskSender(found) : found;
      if (options.json) output.printJson(sender);
      else printSender(output, sender, options.mask ? newest.map(maskMessage) : newest);
    });
  addDataOptions(show);
  addExamples(show, [
    'ruffinweb senders show --email ada@example.com',
    'ruffinweb senders show 01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a --json',
  ]);

  const verbs = [
    ['block', 'Hold what this sender writes from now on, and send no automatic reply there'],
    ['unblock', 'Take what this sender writes like that of anybody else again'],
  ] as const;
  for (const [verb, description] of verbs) {
    const change = senders
      .command(verb)
      .description(description)
      .argument('[id]', 'as shown by "senders list --json"')
      .option('--email <address>', 'find by address')
      .option('--replies', repliesOf[verb])
      .action(async (id: string | undefined, _options, command: Command) => {
        const options = optionsOf<DataOptions & { email?: string; replies?: boolean }>(command);
        const output = new Output(deps, options);
        const which = chooseOne(id, options.email);
        if (options.replies) {
          const load = () => import('../../../services/senders/suppress-sender.ts');
          const changed = await runInScope(deps, load, (scope, { suppressSender, unsuppressSender }) =>
            (verb === 'block' ? suppressSender : unsuppressSender)(scope, which),
          );
          const shown = options.mask ? maskSender(changed) : changed;
          if (options.json) output.printJson(shown);
          else {
            const what = changed.suppressedAt ? 'gets no automatic replies' : 'gets automatic replies';
            output.print(`${showSafe(shown.email ?? shown.id ?? '')} ${what}`);
          }
          return;
        }
        const changed = await runInScope(deps, loadSenders, (scope, { blockSender, unblockSender }) =>
          (verb === 'block' ? blockSender : unblockSender)(scope, which),
        );
        const sender = options.mask ? maskSender(changed) : changed;
        if (options.json) output.printJson(sender);
        else output.print(`${showSafe(sender.email ?? sender.id)} is ${sender.blockedAt ? 'blocked' : 'not blocked'}`);
      });
    addDataOptions(change);
    addExamples(change, [
      `ruffinweb senders ${verb} 01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a`,
      `ruffinweb senders ${verb} --email ada@example.com --replies`,
    ]);
  }
  addSenderRights(senders, deps, chooseOne);
}

const loadSenders = () => import('../../../services/senders/senders.ts');

/** @param newest the newest messages of the sender. */
function printSender(output: Output, sender: SenderView, newest: readonly MessageView[]): void {
  output.printDetails([
    ['email', sender.email ?? unopened, sender.email === null ? output.style.bad : output.style.bold],
    ['name', sender.name],
    ['messages', String(sender.messages)],
    ['first', output.timeInFull(sender.firstMessageAt)],
    ['last', output.timeInFull(sender.lastMessageAt)],
    ['blocked', sender.blockedAt && output.timeInFull(sender.blockedAt), output.style.bad],
    ['no replies', sender.suppressedAt && output.timeInFull(sender.suppressedAt), output.style.warning],
    ['id', sender.id],
  ]);
  if (newest.length === 0) return;
  output.print();
  const columns = messageColumns(output, newest).filter((it) => it.header !== 'FROM' && it.header !== 'NAME');
  output.printTable(newest, columns);
  if (sender.messages > newest.length) output.note(`\nAll of them: ruffinweb messages list --sender ${sender.id}`);
}

/** What \`--replies\` does to each verb: it leaves the messages alone. */
const repliesOf = {
  block: 'only send no automatic reply there; messages are taken as before',
  unblock: 'only send automatic replies there again, also where the owner asked for none',
} as const;

/** @param rows what will be shown: a note is given room only where there is one. */
function senderColumns(output: Output, rows: readonly SenderView[]): Column<SenderView>[] {
  const { style } = output;
  const note: Column<SenderView> = { header: 'NOTE', text: noteOf, style: style.warning, omit: 1 };
  return [
    {
      header: 'EMAIL',
      text: (it) => it.email ?? unopened,
      style: (text, it) => (it.email === null ? style.bad(text) : text),
      least: 20,
    },
    { header: 'NAME', text: (it) => it.name ?? '', least: 8, omit: 3 },
    ...(rows.some((it) => noteOf(it) !== '') ? [note] : []),
    { header: 'MESSAGES', text: (it) => String(it.messages), align: 'right' },
    { header: 'FIRST', text: (it) => output.time(it.firstMessageAt), style: style.dim, omit: 4 },
    { header: 'LAST', text: (it) => output.time(it.lastMessageAt), omit: 2 },
    { header: 'ID', text: (it) => it.id, style: style.dim, omit: 5 },
  ];
}

function noteOf({ blockedAt, suppressedAt }: SenderView): string {
  return [...(blockedAt ? ['blocked'] : []), ...(suppressedAt ? ['no replies'] : [])].join(', ');
}

/** @throws {Problem} argument-invalid */
function chooseOne(id: string | undefined, email: string | undefined): { id: string } | { email: string } {
  if (id !== undefined && email === undefined) return { id };
  if (email !== undefined && id === undefined) return { email };
  throw new Problem('argument-invalid', 'say which sender: an id, or --email with an address');
}
