import { Option } from 'commander';
import { Problem } from '../../../problems.ts';
import type { DeliveryFilter, DeliveryView, Settled } from '../../../services/hooks/deliveries.ts';
import { type DeliveryState, deliveryStates, hookEvents } from '../../../words.ts';
import { type Call, type CliCommand, notEmpty } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { onlyGiven, type PageOptions, type PeriodOptions, periodOf } from '../../session/options.ts';
import { printPages } from '../../session/print-page.ts';
import { reasonColumn, resultColumn, wordResult } from '../../session/results.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse, isInteractive } from '../../terminal/confirm.ts';
import { maskAttempt } from '../../terminal/mask.ts';
import { plural } from '../../terminal/output.ts';
import type { Column } from '../../terminal/table.ts';
import { idColumn, jobColumns, printJob } from '../emails/screens.ts';

const whichDelivery = 'an id as shown by "hooks deliveries list", or its first 8 or more characters';

export function addDeliveryCommands(hooks: CliCommand): void {
  const deliveries = hooks.command('deliveries').description('What is sent to hooks: show, resend and cancel it');

  addFilter(deliveries.command('list'))
    .description('List deliveries, newest first')
    .addOption(new Option('--state <state>', 'only in this state').choices(deliveryStates))
    .pageOptions()
    .examples(
      'ruffinweb hooks deliveries list --state failed --since 2d',
      `ruffinweb hooks deliveries list --hook slack --json | jq -r '.items[].id'`,
    )
    .run(listDeliveries);

  deliveries
    .command('show')
    .description('Show one delivery with every attempt and its answer')
    .argument('<delivery>', whichDelivery)
    .dataOptions()
    .examples(
      'ruffinweb hooks deliveries show 01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a',
      'ruffinweb hooks deliveries show 01a20241-c5d6 --json',
    )
    .run(showDelivery);

  addChange(deliveries.command('resend'))
    .description('Send deliveries again under their ids: the given ones, all failed ones, or all that wait for a retry')
    .examples('ruffinweb hooks deliveries resend --failed', 'ruffinweb hooks deliveries resend 01a20241-c5d6')
    .run(settle('resend'));

  addChange(deliveries.command('cancel'))
    .description('Cancel queued or failed deliveries: they stay listed and are never sent')
    .examples('ruffinweb hooks deliveries cancel --queued', 'ruffinweb hooks deliveries cancel 01a20241-c5d6')
    .run(settle('cancel'));
}

type FilterOptions = PeriodOptions & Omit<DeliveryFilter, 'since' | 'until'>;

function addFilter(command: CliCommand): CliCommand {
  return command
    .option('--hook <name>', 'only to this hook', notEmpty)
    .addOption(new Option('--event <event>', 'only about this event').choices(hookEvents))
    .periodOptions('happened ');
}

function addChange(command: CliCommand): CliCommand {
  return addFilter(command.argument('[delivery...]', whichDelivery))
    .option('--failed', 'all failed ones, limited by the options above')
    .addOption(new Option('--queued', 'all queued ones').conflicts('failed'))
    .option('--dry-run', 'only say what would happen')
    .option('--yes', 'do not ask')
    .jsonOption();
}

function filterOf(options: FilterOptions): DeliveryFilter {
  const { hook, state, event } = options;
  return { ...periodOf(options), ...onlyGiven({ hook, state, event }) };
}

const load = () => import('../../../services/hooks/deliveries.ts');

const aboutColumns: Column<DeliveryView>[] = [
  { header: 'HOOK', text: (it) => it.hook },
  { header: 'EVENT', text: (it) => it.event, omit: 2 },
  { header: 'RECEIPT', text: (it) => it.receipt ?? '', omit: 4 },
];

async function listDeliveries(call: Call<PageOptions & FilterOptions>): Promise<void> {
  const filter = filterOf(call.options);
  await runInScope(call.deps, load, async (scope, { listDeliveries }) => {
    await printPages(call, (page) => listDeliveries(scope, { ...page, ...filter }), {
      columns: (items) => [...aboutColumns, ...jobColumns(call.output, items), idColumn],
      mask: (it) => it,
      whenEmpty: Object.keys(filter).length > 0 ? 'No delivery matches.' : 'No delivery yet.',
    });
  });
}

async function showDelivery({ deps, options, output }: Call, id: string): Promise<void> {
  const found = await runInScope(deps, load, (scope, { showDelivery }) => showDelivery(scope, id));
  const delivery = options.mask ? { ...found, attempts: found.attempts.map(maskAttempt) } : found;
  output.printResult(delivery, () => {
    printJob(output, delivery, delivery.failure, [
      ['hook', delivery.hook],
      ['event', delivery.event],
      ['message', delivery.receipt],
      ['email', delivery.emailId],
    ]);
    if (delivery.state === 'failed') output.note(`\nSend it again: ruffinweb hooks deliveries resend ${delivery.id}`);
  });
}

type ChangeOptions = FilterOptions & { failed?: true; queued?: true };

/** @throws {Problem} argument-invalid */
function readWhich(names: readonly string[], options: ChangeOptions): DeliveryState | undefined {
  const only = options.failed ? 'failed' : options.queued && 'queued';
  if (names.length > 0 && (only !== undefined || Object.keys(filterOf(options)).length > 0))
    throw new Problem('argument-invalid', 'name deliveries or use --failed or --queued, not both');
  if (names.length === 0 && only === undefined)
    throw new Problem('argument-invalid', 'say which deliveries: their ids, --failed or --queued');
  return only;
}

function settle(act: 'resend' | 'cancel') {
  return async ({ deps, options, output }: Call<ChangeOptions>, names: string[]): Promise<void> => {
    const { dryRun = false } = options;
    const only = readWhich(names, options);
    const items = await runInScope(deps, load, async (scope, services) => {
      const { findDeliveryIds, selectDeliveryIds, resendOrCancel } = services;
      if (only === undefined) return await resendOrCancel(scope, act, await findDeliveryIds(scope, names), { dryRun });
      const ids = await selectDeliveryIds(scope, { ...filterOf(options), state: only });
      const question = `${act === 'resend' ? 'Send' : 'Cancel'} ${plural(ids.length, 'delivery', 'deliveries')}?`;
      if (ids.length > 0 && !dryRun && isInteractive(deps)) await confirmOrRefuse(deps, options, question);
      return await resendOrCancel(scope, act, ids, { dryRun, only });
    });
    output.printResult({ dryRun, items }, () => {
      if (items.length === 0) return output.note(`No ${only} delivery matches.`);
      const word = (it: Settled) =>
        (dryRun && /^(queued|cancelled)$/.test(it.result) ? 'would be ' : '') + wordResult(it);
      output.printTable(items, [...aboutColumns, resultColumn(output, word), ...reasonColumn(items), idColumn]);
      if (dryRun) output.note('\nNothing was changed.');
    });
    if (items.some((it) => it.code !== null)) deps.setExitCode(exitCode.refused);
  };
}
