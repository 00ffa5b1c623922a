import type { Command } from 'commander';
import type { RuleView } from '../../services/maintenance/purge-preview.ts';
import type { Scope } from '../../services/scope.ts';
import { exitCode } from '../session/exit-codes.ts';
import { addExamples, optionsOf } from '../session/options.ts';
import { runInScope } from '../session/run-in-scope.ts';
import { Refusal } from '../terminal/confirm.ts';
import type { Deps } from '../terminal/deps.ts';
import { type DataOptions, Output } from '../terminal/output.ts';
import { showProgress } from '../terminal/progress.ts';
import type { Column } from '../terminal/table.ts';
import { formatSpan } from '../terminal/times.ts';

interface PurgeOptions extends DataOptions {
  dryRun?: boolean;
}

/** A rule, and how many rows went by it. */
type DoneView = RuleView & { removed: number };

export function addPurgeCommand(program: Command, deps: Deps): void {
  const command = program
    .command('purge')
    .description('Remove what is past its time, as "serve" and "deliver" do once an hour')
    .option('--dry-run', 'show what would go, by rule and form, and when the next will')
    .option('--utc', 'print exact times')
    .option('--json', 'print JSON')
    .action(async (_options, self: Command) => {
      const options = optionsOf<PurgeOptions>(self);
      const output = new Output(deps, options);
      const stop = deps.stopGently();
      const load = () =>
        Promise.all([import('../../services/maintenance/purge-preview.ts'), import('../../services/clock.ts')]);
      await runInScope(deps, load, async (scope, [{ previewPurge }, { clocksDifferBy }]) => {
        const aheadMs = await clocksDifferBy(scope);
        if (aheadMs !== 0 && !options.dryRun) throw new Refusal(`nothing was removed: ${clocksDiffer(aheadMs)}`);
        const before = await previewPurge(scope);
        if (options.dryRun) {
          if (aheadMs !== 0) output.warn(`Nothing would go as long as this is so: ${clocksDiffer(aheadMs)}\n`);
          print(
            output,
            options,
            before.map((it) => ({ ...it, removed: 0 })),
          );
          return;
        }
        const removedBy = await run(deps, options, scope, before, stop);
        const after = await previewPurge(scope);
        print(
          output,
          options,
          after.map((it) => ({ ...it, removed: removedBy(it) })),
        );
        if (stop.aborted) deps.setExitCode(exitCode.interrupted);
      });
    });
  addExamples(command, ['ruffinweb purge --dry-run', 'ruffinweb purge --json']);
}

function clocksDiffer(aheadMs: number): string {
  const distance = `${formatSpan(Math.abs(aheadMs))} ${aheadMs > 0 ? 'ahead of' : 'behind'}`;
  return `the clock of the database is ${distance} that of this machine, and everything would be of another age; let both take their time from NTP`;
}

/** @returns how many rows went by a rule. */
async function run(
  deps: Deps,
  options: PurgeOptions,
  scope: Scope,
  before: readonly RuleView[],
  stop: AbortSignal,
): Promise<(rule: RuleView) => number> {
  const [{ purge }, { listForms }] = await Promise.all([
    import('../../services/maintenance/purge.ts'),
    import('../../services/forms/form-settings.ts'),
  ]);
  const slugs = new Map((await listForms(scope)).map((form) => [form.id, form.slug]));
  const gone = new Map<string, number>();
  const count = (what: string, by: number) => gone.set(what, (gone.get(what) ?? 0) + by);
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
  return ({ rule, form }) => gone.get(form === null ? rule : `${rule === 'held' ? 'held' : 'accepted'} ${form}`) ?? 0;
}

function print(output: Output, options: PurgeOptions, rules: readonly DoneView[]): void {
  if (options.json) {
    output.printJson({ dryRun: options.dryRun ?? false, items: rules });
    return;
  }
  const { style } = output;
  const waiting = rules.reduce((sum, it) => sum + it.waiting, 0);
  const waitingColumn: Column<DoneView> = {
    header: 'WAITING',
    text: (it) => (it.waiting === 0 ? '' : String(it.waiting)),
    align: 'right',
    style: style.warning,
  };
  output.printTable(rules, [
    { header: 'RULE', text: (it) => it.rule },
    { header: 'FORM', text: (it) => it.form ?? '', least: 7, omit: 2 },
    { header: 'KEPT', text: keptInWords, style: style.dim, omit: 1 },
    options.dryRun
      ? { header: 'WOULD GO', text: (it) => String(it.due), align: 'right' }
      : { header: 'GONE', text: (it) => String(it.removed), align: 'right' },
    ...(waiting > 0 ? [waitingColumn] : []),
    { header: 'NEXT', text: (it) => (it.nextAt === null ? '' : output.time(it.nextAt)), style: style.dim },
  ]);
  if (waiting > 0) {
    output.note(
      `\n${waiting} past their time ${waiting === 1 ? 'is' : 'are'} kept, because no owner has been told about them yet.\n` +
        '→ ruffinweb emails list --state failed, then "emails resend" or "emails cancel"; queued mail goes first;\n' +
        '  a held message waits for the daily summary that lists it',
    );
  }
}

function keptInWords({ days }: RuleView): string {
  if (days === null) return 'with a message';
  return days === 0 ? 'for ever' : `${days} days`;
}
