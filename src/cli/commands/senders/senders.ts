import type { Scope } from '../../../services/scope.ts';
import type { MessageView, SenderView } from '../../../services/views.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { onlyGiven, type PageOptions, periodOf } from '../../session/options.ts';
import { printPages, unopened } from '../../session/print-page.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { maskMessage, maskSender } from '../../terminal/mask.ts';
import type { Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';
import type { Column } from '../../terminal/table.ts';
import { timeForms } from '../../terminal/times.ts';
import { messageColumns } from '../messages/messages.ts';
import { addSenderRights } from './export-and-erase.ts';
import { addWhich, type WhichOptions, whichOf } from './which.ts';

export function addSenderCommands(program: CliCommand): void {
  const senders = program.command('senders').description('People who wrote to you, one entry for each address');

  senders
    .command('list')
    .description('List senders, most recent message first')
    .option('--since <time>', `only who wrote at this time or later: ${timeForms}`)
    .option('--blocked', 'only blocked ones')
    .pageOptions()
    .examples('ruffinweb senders list --since 7d', `ruffinweb senders list --json | jq -r '.items[].email'`)
    .run(listSenders);

  addWhich(senders.command('show'))
    .description('Show one sender and the newest messages')
    .dataOptions()
    .examples('ruffinweb senders show ada@example.com', 'ruffinweb senders show RW-4K2M9Q7T1X --json')
    .run(showSender);

  for (const [verb, { description, replies }] of Object.entries(verbs)) {
    addWhich(senders.command(verb))
      .description(description)
      .option('--replies', replies)
      .dataOptions()
      .examples(`ruffinweb senders ${verb} RW-4K2M9Q7T1X`, `ruffinweb senders ${verb} ada@example.com --replies`)
      .run((call: Call<ChangeOptions>, name?: string) =>
        call.options.replies ? changeReplies(call, name, verb === 'block') : changeBlock(call, name, verb === 'block'),
      );
  }

  addSenderRights(senders);
}

const verbs = {
  block: {
    description: 'Hold future messages from this sender, and send no automatic replies',
    replies: 'only stop automatic replies; messages are accepted as before',
  },
  unblock: {
    description: 'Accept messages from this sender again',
    replies: 'only allow automatic replies again, even if the mailbox owner declined them',
  },
} as const;

interface ChangeOptions extends WhichOptions {
  replies?: boolean;
}

const loadSenders = () => import('../../../services/senders/senders.ts');

type ListOptions = PageOptions & { since?: string; blocked?: boolean };

async function listSenders(call: Call<ListOptions>): Promise<void> {
  const { deps, options, output } = call;
  const filter = { ...periodOf(options), ...onlyGiven({ blocked: options.blocked }) };
  const look = {
    columns: (items: readonly SenderView[]) => senderColumns(output, items),
    mask: maskSender<SenderView>,
    whenEmpty:
      Object.keys(filter).length > 0 || options.cursor
        ? 'No sender matches. Leave out a filter to see more.'
        : 'Nobody has written yet. Post to /api/messages, or open the landing page.',
  };
  // The list reads rows, so it needs no entities.
  const list = (scope: Scope, { listSenders }: Awaited<ReturnType<typeof loadSenders>>) =>
    printPages(call, (page) => listSenders(scope, { ...page, ...filter }), look);
  await runInScope(deps, loadSenders, list, []);
}

async function showSender({ deps, options, output }: Call<WhichOptions>, name?: string): Promise<void> {
  const which = whichOf(name, options);
  const { found, newest } = await runInScope(deps, loadSenders, async (scope, { showSender }) => {
    const found = await showSender(scope, await which(scope));
    if (options.json) return { found, newest: [] };
    const { listMessages } = await import('../../../services/messages/messages.ts');
    return { found, newest: (await listMessages(scope, { sender: found.id, limit: 5 })).items };
  });
  const sender = options.mask ? maskSender(found) : found;
  output.printResult(sender, () => printSender(output, sender, options.mask ? newest.map(maskMessage) : newest));
}

async function changeBlock({ deps, options, output }: Call<ChangeOptions>, name: string | undefined, isBlock: boolean) {
  const which = whichOf(name, options);
  const { changed, wasBlocked } = await runInScope(
    deps,
    loadSenders,
    async (scope, { blockSender, showSender, unblockSender }) => {
      const choice = await which(scope);
      const wasBlocked = (await showSender(scope, choice)).blockedAt !== null;
      return { wasBlocked, changed: await (isBlock ? blockSender : unblockSender)(scope, choice) };
    },
  );
  const sender = options.mask ? maskSender(changed) : changed;
  const words = wasBlocked ? 'was blocked already' : 'is blocked';
  output.printResult(sender, () =>
    output.print(
      `${showSafe(sender.email ?? sender.id)} ${isBlock ? `${words}: further messages are held` : 'is not blocked'}`,
    ),
  );
}

async function changeReplies(
  { deps, options, output }: Call<ChangeOptions>,
  name: string | undefined,
  isBlock: boolean,
) {
  const which = whichOf(name, options);
  const load = () => import('../../../services/senders/suppress-sender.ts');
  const changed = await runInScope(deps, load, async (scope, { suppressSender, unsuppressSender }) =>
    (isBlock ? suppressSender : unsuppressSender)(scope, await which(scope)),
  );
  const shown = options.mask ? maskSender(changed) : changed;
  const what = changed.suppressedAt ? 'gets no automatic replies' : 'gets automatic replies';
  output.printResult(shown, () => output.print(`${showSafe(shown.email ?? shown.id ?? '')} ${what}`));
}

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
  if (sender.messages > newest.length) output.note(`\nTo see all: ruffinweb messages list --sender ${sender.id}`);
}

/** @param rows the rows to show; notes have a column only if there is one. */
function senderColumns(output: Output, rows: readonly SenderView[]): Column<SenderView>[] {
  const { style } = output;
  const note: Column<SenderView> = { header: 'NOTE', text: noteOf, style: style.warning, omit: 1 };
  return [
    {
      header: 'EMAIL',
      text: (it) => it.email ?? unopened,
      style: (text, it) => (it.email === null ? style.bad(text) : text),
      minWidth: 20,
    },
    { header: 'NAME', text: (it) => it.name ?? '', minWidth: 8, omit: 3 },
    ...(rows.some((it) => noteOf(it) !== '') ? [note] : []),
    { header: 'MESSAGES', text: (it) => String(it.messages), align: 'right' },
    { header: 'FIRST', text: (it) => output.timeInList(it.firstMessageAt), style: style.dim, omit: 4 },
    { header: 'LAST', text: (it) => output.timeInList(it.lastMessageAt), omit: 2 },
    { header: 'ID', text: (it) => it.id, style: style.dim, omit: 5 },
  ];
}

function noteOf({ blockedAt, suppressedAt }: SenderView): string {
  return [...(blockedAt ? ['blocked'] : []), ...(suppressedAt ? ['no replies'] : [])].join(', ');
}
