import { Option } from 'commander';
import { Problem } from '../../../problems.ts';
import type { DeliveryFilter, DeliveryView } from '../../../services/hooks/deliveries.ts';
import { deliveryStates } from '../../../words.ts';
import { type Call, type CliCommand, notEmpty } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { onlyGiven, type PageOptions, type PeriodOptions, periodOf } from '../../session/options.ts';
import { printPages } from '../../session/print-page.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { maskAttempt } from '../../terminal/mask.ts';
import { type Output, plural } from '../../terminal/output.ts';
import type { Column } from '../../terminal/table.ts';
import { jobColumns, printJob } from '../emails/screens.ts';

const whichDelivery = 'an id as shown by "hooks deliveries list"';
const exampleId = '01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a';

export function addDeliveryCommands(hooks: CliCommand): void {
  const deliveries = hooks.command('deliveries').description('What is sent to hooks: show, resend and cancel it');
  const filtered = (verb: string, description: string) =>
    deliveries
      .command(verb)
      .description(description)
      .option('--hook <name>', 'only to this hook', notEmpty)
      .periodOptions('happened ');
  const addChange = (act: 'resend' | 'cancel', description: string) => {
    const command = `ruffinweb hooks deliveries ${act}`;
    filtered(act, description)
      .argument('[delivery...]', whichDelivery)
      .option('--failed', 'all failed ones, limited by the options above')
      .jsonOption()
      .examples(`${command} --failed --since 2d`, `${command} ${exampleId}`)
      .run(resendOrCancel(act));
  };

  filtered('list', 'List deliveries, newest first')
    .addOption(new Option('--state <state>', 'only in this state').choices(deliveryStates))
    .pageOptions()
    .examples(
      'ruffinweb hooks deliveries list --state failed --since 2d',
      `ruffinweb hooks deliveries list --hook slack --state queued --all --json | jq -r '.items[].id'`,
    )
    .run(listDeliveries);

  deliveries
    .command('show')
    .description('Show one delivery with every attempt and its answer')
    .argument('<delivery>', whichDelivery)
    .dataOptions()
    .examples(`ruffinweb hooks deliveries show ${exampleId}`, `ruffinweb hooks deliveries show ${exampleId} --json`)
    .run(showDelivery);

  addChange('resend', 'Send deliveries again under their ids: the given ones, or all failed ones');
  addChange('cancel', 'Cancel queued or failed deliveries: they stay listed and are never sent');
}

type FilterOptions = PeriodOptions & Pick<DeliveryFilter, 'hook' | 'state'> & { failed?: true };

function filterOf(options: FilterOptions): DeliveryFilter {
  return { ...periodOf(options), ...onlyGiven({ hook: options.hook, state: options.state }) };
}

const load = () => import('../../../services/hooks/deliveries.ts');

function columns(output: Output, items: readonly DeliveryView[]): Column<DeliveryView>[] {
  return [
    { header: 'HOOK', text: (it) => it.hook },
    { header: 'EVENT', text: (it) => it.event, omit: 6 },
    { header: 'RECEIPT', text: (it) => it.receipt ?? '', omit: 4 },
    ...jobColumns(output, items).map((column) => ({
      ...column,
      text: (it: DeliveryView) => (column.header === 'WHEN' ? waitsFor(it) : undefined) ?? column.text(it),
    })),
    // Never left out: nothing else names a delivery.
    { header: 'ID', text: (it) => it.id },
  ];
}

function waitsFor({ state, hook, hookState }: DeliveryView): string | undefined {
  return state === 'queued' && hookState !== 'active' ? `while ${hook} is ${hookState}` : undefined;
}

async function listDeliveries(call: Call<PageOptions & FilterOptions>): Promise<void> {
  const filter = filterOf(call.options);
  await runInScope(call.deps, load, async (scope, { listDeliveries }) => {
    await printPages(call, (page) => listDeliveries(scope, { ...page, ...filter }), {
      columns: (items) => columns(call.output, items),
      mask: (it) => it,
      whenEmpty: 'No delivery matches.',
    });
  });
}

async function showDelivery({ deps, options, output }: Call, id: string): Promise<void> {
  const found = await runInScope(deps, load, (scope, { showDelivery }) => showDelivery(scope, id));
  const delivery = options.mask ? { ...found, attempts: found.attempts.map(maskAttempt) } : found;
  output.printResult(delivery, () => {
    const { hook, event, receipt, emailId, failure } = delivery;
    printJob(output, delivery, failure, Object.entries({ hook, event, message: receipt, email: emailId }));
    const waits = waitsFor(delivery);
    if (waits) output.note(`\nIt waits ${waits}: ruffinweb hooks test ${hook}`);
    if (delivery.state === 'failed') output.note(`\nSend it again: ruffinweb hooks deliveries resend ${id}`);
  });
}

function resendOrCancel(act: 'resend' | 'cancel') {
  return async ({ deps, options, output }: Call<FilterOptions>, ids: string[]): Promise<void> => {
    const filter = filterOf(options);
    const isByQuery = ids.length === 0;
    if (isByQuery ? !options.failed : options.failed || Object.keys(filter).length > 0)
      throw new Problem('argument-invalid', 'say which deliveries: either their ids, or --failed');
    const which = isByQuery ? { ...filter, state: 'failed' as const } : { ids };
    const { changed, items } = await runInScope(deps, load, (scope, it) => it.resendOrCancel(scope, act, which));
    output.printResult({ changed, items }, () => {
      if (items.length === 0) return output.note('No failed delivery matches.');
      output.printTable(items, columns(output, items));
      const done = act === 'resend' ? 'queued again' : 'cancelled';
      output.note(`\n${plural(changed, 'delivery was', 'deliveries were')} ${done}.`);
      if (changed < items.length) output.note('The others were sent, or are being sent at this moment.');
    });
    if (changed < items.length) deps.setExitCode(exitCode.refused);
  };
}
