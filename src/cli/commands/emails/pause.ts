import type { Command } from 'commander';
import { Problem } from '../../../problems.ts';
import type { PauseView } from '../../../services/delivery/pause.ts';
import type { Scope } from '../../../services/scope.ts';
import { fixOf } from '../../session/advice.ts';
import { addExamples, optionsOf } from '../../session/options.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import type { Deps } from '../../terminal/deps.ts';
import { maskText } from '../../terminal/mask.ts';
import { type DataOptions, Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';

const maxReasonLength = 500;

export function addPauseCommands(emails: Command, deps: Deps): void {
  const pause = emails
    .command('pause')
    .description('Send no more mail until "emails resume"; what comes in is stored and queued as ever')
    .option('--reason <text>', 'why, for the next operator')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf<DataOptions & { reason?: string }>(command);
      const output = new Output(deps, options);
      if ((options.reason?.length ?? 0) > maxReasonLength) {
        throw new Problem('argument-invalid', `a reason has at most ${maxReasonLength} characters`);
      }
      await runInScope(deps, loadPause, async (scope, { describePause, pauseQueue, readPause }) => {
        const before = await readPause(scope.em, scope.keyring);
        await pauseQueue(scope, 'hand', options.reason ?? null);
        if (options.json) {
          output.printJson({ paused: await readPause(scope.em, scope.keyring), wasPaused: before !== null });
          return;
        }
        if (before !== null) {
          const { fact } = describePause(before, scope.config);
          output.print(`was paused already, since ${output.time(before.since)}: ${showSafe(fact)}`);
        }
        output.print('paused: nothing is sent until "ruffinweb emails resume"');
      });
    });
  addExamples(pause, ['ruffinweb emails pause --reason "moving to another mail server"', 'ruffinweb emails pause']);

  const resume = emails
    .command('resume')
    .description('Send mail again, whatever it was paused for')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      await runInScope(deps, loadPause, async (scope, { resumeQueue }) => {
        const wasPaused = await resumeQueue(scope);
        if (options.json) {
          output.printJson({ paused: null, wasPaused });
          return;
        }
        output.print(wasPaused ? 'mail goes on' : 'mail was not paused');
        const { countResendable } = await import('../../../services/emails/resend-emails.ts');
        const waiting = await countResendable(scope, { state: 'queued' });
        if (waiting > 0)
          output.note(`${waiting} wait for their next try; to send them now: ruffinweb emails resend --queued`);
      });
    });
  addExamples(resume, ['ruffinweb emails resume', 'ruffinweb emails resume --json']);
}

/** Says that no mail leaves, and why. @returns the pause; null where there is none. */
export async function warnOfPause(
  output: Output,
  scope: Scope,
  options: { mask?: boolean } = {},
): Promise<PauseView | null> {
  const { describePause, readPause } = await loadPause();
  const pause = await readPause(scope.em, scope.keyring);
  if (pause === null) return null;
  const described = describePause(
    options.mask ? { ...pause, reason: pause.reason && maskText(pause.reason) } : pause,
    scope.config,
  );
  output.warn(`Nothing is sent since ${output.time(pause.since)}: ${described.fact}.\n→ ${fixOf(described)}\n`);
  return pause;
}

const loadPause = () => import('../../../services/delivery/pause.ts');
