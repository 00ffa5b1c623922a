import { Option } from 'commander';
import { Problem } from '../../../problems.ts';
import { type Suspicion, suspicions } from '../../../words.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { setExitCode } from '../../session/results.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';
import { plural } from '../../terminal/output.ts';
import { showProgress } from '../../terminal/progress.ts';
import { type ChangeResult, change, changeOne, explainStop, manyMessages, printChanges } from './change.ts';

interface ReleaseOptions {
  reason?: Suspicion;
  all?: boolean;
  dryRun?: boolean;
  yes?: boolean;
}

export function addReleaseCommand(messages: CliCommand): void {
  messages
    .command('release')
    .description('Release held messages: their mail is sent now')
    .argument('[message...]', manyMessages)
    .addOption(new Option('--reason <reason>', 'all that are held for this reason alone').choices(suspicions))
    .addOption(new Option('--all', 'all held messages').conflicts('reason'))
    .option('--dry-run', 'with --reason or --all: only say what would happen')
    .option('--yes', 'do not ask')
    .jsonOption()
    .examples(
      'ruffinweb messages release RW-4K2M9Q7T1X',
      'ruffinweb messages release RW-4K2M9Q7T1X RW-8B3N5P1R6Z --json',
      'ruffinweb messages release --reason same-text-from-many --dry-run',
    )
    .run(release);
}

async function release(call: Call<ReleaseOptions>, which: string[]): Promise<void> {
  const { reason, all, dryRun } = call.options;
  const isBulk = reason !== undefined || all === true;
  if (isBulk === which.length > 0) {
    throw new Problem('argument-invalid', 'name messages, or use --reason or --all');
  }
  if (dryRun && !isBulk) throw new Problem('argument-invalid', '--dry-run is for --reason and --all');
  if (isBulk) await releaseMany(call);
  else await change(call, which, 'released');
}

const wouldBe = { result: 'would-be-released', code: null, reason: null };

/** Releases the messages that were held when it asked, and not those that are held meanwhile. */
async function releaseMany({ deps, options, output }: Call<ReleaseOptions>): Promise<void> {
  const { dryRun = false } = options;
  const stop = deps.stopGently();
  const load = () => import('../../../services/messages/change-message.ts');
  let asked = 0;
  const items = await runInScope(deps, load, async (scope, { listHeld, releaseMessage }) => {
    const held = await listHeld(scope, options.reason);
    asked = held.length;
    if (dryRun) return held.map(({ id, receipt }) => ({ id, receipt, ...wouldBe }));
    const many = plural(held.length, 'held message');
    if (held.length > 0) await confirmOrRefuse(deps, options, `Release ${many}? Owners get an email about each.`);
    using progress = showProgress(deps, options, held.length, 'released');
    const done: ChangeResult[] = [];
    for (const { id, receipt, heldSince } of held) {
      if (stop.aborted) break;
      done.push(
        await changeOne(scope, { id, receipt }, 'released', () => releaseMessage(scope, id, undefined, heldSince)),
      );
      progress.report(done.length);
    }
    return done;
  });
  output.printResult({ dryRun, items }, () => {
    if (items.length > 0) printChanges(output, items);
    else output.note(options.reason ? 'No message is held for this reason alone.' : 'No message is held.');
    if (dryRun && items.length > 0)
      output.note(`\n${plural(items.length, 'message')} would be released; nothing was changed`);
  });
  if (stop.aborted) output.warn(explainStop(items.length, asked));
  const isRefused = items.some((it) => it.code !== null);
  setExitCode(deps, stop, isRefused);
}
