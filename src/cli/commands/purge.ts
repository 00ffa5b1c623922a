import { formatSpan } from '../../services/clock.ts';
import type { RuleView } from '../../services/maintenance/purge-preview.ts';
import type { Scope } from '../../services/scope.ts';
import type { Call, CliCommand } from '../session/command.ts';
import { setExitCode } from '../session/results.ts';
import { runInScope } from '../session/run-in-scope.ts';
import { Refusal } from '../terminal/confirm.ts';
import { type Output, plural } from '../terminal/output.ts';
import { showProgress } from '../terminal/progress.ts';
import type { Column } from '../terminal/table.ts';

/** A rule, and how many rows it removed. */
type DoneView = RuleView & { removed: number };

export function addPurgeCommand(program: CliCommand): void {
  program
    .command('purge')
    .description('Remove everything past its retention, as "serve" and "deliver" do once an hour')
    .option('--dry-run', 'show what would be removed, by rule and form, and when the next removal is due')
    .jsonOption()
    .examples('ruffinweb purge --dry-run', 'ruffinweb purge --json')
    .run(purgeNow);
}

const loadPreview = () =>
  Promise.all([import('../../services/maintenance/purge-preview.ts'), import('../../services/clock.ts')]);

async function purgeNow(call: Call): Promise<void> {
  const { deps, options, output } = call;
  const stop = deps.stopGently();
  await runInScope(deps, loadPreview, async (scope, [{ previewPurge }, { clocksDifferBy }]) => {
    const aheadMs = await clocksDifferBy(scope);
    if (aheadMs !== 0 && !options.dryRun) throw new Refusal(`nothing was removed: ${clocksDiffer(aheadMs)}`);
    const before = await previewPurge(scope);
    if (options.dryRun) {
      if (aheadMs !== 0) output.warn(`Until this is fixed, nothing is removed: ${clocksDiffer(aheadMs)}\n`);
      printRules(call, before, () => 0);
      return;
    }
    const removedBy = await removeExpired(call, scope, before, stop);
    printRules(call, await previewPurge(scope), removedBy);
    if (stop.aborted) output.warn('\nStopped before everything was removed: run it again to continue.');
    setExitCode(deps, stop);
  });
}

function clocksDiffer(aheadMs: number): string {
  const distance = `${formatSpan(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'}`;
  return `the clock of the database is ${distance} that of this machine, so every age would be wrong; synchronise both with NTP`;
}

/** @returns how many rows a rule removed. */
async function removeExpired(
  { deps, options }: Call,
  scope: Scope,
  before: readonly RuleView[],
  stop: AbortSignal,
): Promise<(rule: RuleView) => number> {
  const [{ purge }, { listForms }] = await Promise.all([
    import('../../services/maintenance/purge.ts'),
    import('../../services/forms/form-settings.ts'),
  ]);
  const slugs = new Map((await listForms(scope)).map((form) => [form.id, form.slug]));
  const removed = new Map<string, number>();
  const count = (what: string, by: number) => removed.set(what, (removed.get(what) ?? 0) + by);
  let done = 0;
  const total = before.reduce((sum, it) => sum + it.due, 0);
  using progress = showProgress(deps, options, total, 'removed');
  await purge(scope, stop, (removal) => {
    for (const { formId, status } of removal.messages) count(`${status} ${slugs.get(formId)}`, 1);
    count('client-addresses', removal.clientAddresses);
    count('senders', removal.senders);
    done += removal.messages.length + removal.clientAddresses + removal.senders;
    progress.report(done);
  });
  return ({ rule, form }) =>
    removed.get(form === null ? rule : `${rule === 'held' ? 'held' : 'accepted'} ${form}`) ?? 0;
}

function printRules(
  { options, output }: Call,
  rules: readonly RuleView[],
  removedBy: (rule: RuleView) => number,
): void {
  const items = rules.map((it) => ({ ...it, removed: removedBy(it) }));
  output.printResult({ dryRun: options.dryRun ?? false, items }, () => {
    const waiting = items.reduce((sum, it) => sum + it.waiting, 0);
    output.printTable(items, ruleColumns(output, options.dryRun ? 'due' : 'removed', waiting > 0));
    if (waiting === 0) return;
    output.note(
      `\n${waiting} past their time ${waiting === 1 ? 'is' : 'are'} kept, because no owner has been told about them yet.\n` +
        '→ ruffinweb emails list --state failed, then "emails resend" or "emails cancel"; queued mail is sent first;\n' +
        '  a held message waits for the daily summary that lists it',
    );
  });
}

function ruleColumns(output: Output, count: 'due' | 'removed', hasWaiting: boolean): Column<DoneView>[] {
  const { style } = output;
  const waiting: Column<DoneView> = {
    header: 'WAITING',
    text: (it) => (it.waiting === 0 ? '' : String(it.waiting)),
    align: 'right',
    style: style.warning,
  };
  return [
    { header: 'RULE', text: (it) => it.rule },
    { header: 'FORM', text: (it) => it.form ?? '', minWidth: 7, omit: 2 },
    { header: 'KEPT', text: keptInWords, style: style.dim, omit: 1 },
    { header: count === 'due' ? 'WOULD GO' : 'GONE', text: (it) => String(it[count]), align: 'right' },
    ...(hasWaiting ? [waiting] : []),
    { header: 'NEXT', text: (it) => (it.nextAt === null ? '' : output.dueTime(it.nextAt)), style: style.dim },
  ];
}

function keptInWords({ days }: RuleView): string {
  if (days === null) return 'with a message';
  return days === 0 ? 'for ever' : plural(days, 'day');
}
