import { Problem } from '../../../problems.ts';
import type { PauseView } from '../../../services/delivery/pause/pause.ts';
import type { Scope } from '../../../services/scope.ts';
import { fixOf } from '../../session/advice.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { maskText } from '../../terminal/mask.ts';
import type { Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';

const maxReasonLength = 500;

export function addPauseCommands(emails: CliCommand): void {
  emails
    .command('pause')
    .description('Send no mail until "emails resume"; new messages are still stored and their mail queued')
    .option('--reason <text>', 'why, for the next operator')
    .jsonOption()
    .examples('ruffinweb emails pause --reason "moving to another mail server"', 'ruffinweb emails pause')
    .run(pauseMail);

  emails
    .command('resume')
    .description('Send mail again, whatever the reason for the pause was')
    .jsonOption()
    .examples('ruffinweb emails resume', 'ruffinweb emails resume --json')
    .run(resumeMail);
}

const loadPause = () => import('../../../services/delivery/pause/pause.ts');

async function pauseMail({ deps, options, output }: Call<{ reason?: string }>): Promise<void> {
  if ((options.reason?.length ?? 0) > maxReasonLength) {
    throw new Problem('argument-invalid', `a reason has at most ${maxReasonLength} characters`);
  }
  await runInScope(deps, loadPause, async (scope, { describePause, pauseQueue, readPause }) => {
    const before = await readPause(scope.em, scope.keyring);
    await pauseQueue(scope, 'hand', options.reason ?? null);
    const paused = await readPause(scope.em, scope.keyring);
    output.printResult({ paused, wasPaused: before !== null }, () => {
      if (before !== null) {
        const { fact } = describePause(before, scope.config);
        output.print(`was paused already, since ${output.time(before.since)}: ${showSafe(fact)}`);
      }
      output.print('paused: nothing is sent until "ruffinweb emails resume"');
    });
  });
}

async function resumeMail({ deps, options, output }: Call): Promise<void> {
  await runInScope(deps, loadPause, async (scope, { resumeQueue }) => {
    const wasPaused = await resumeQueue(scope);
    output.printResult({ paused: null, wasPaused }, () =>
      output.print(wasPaused ? 'mail goes on' : 'mail was not paused'),
    );
    if (options.json) return;
    const { countResendable } = await import('../../../services/emails/resend-emails.ts');
    const waiting = await countResendable(scope, { state: 'queued' });
    if (waiting > 0) output.note(`${waiting} wait for a retry; to send them now: ruffinweb emails resend --queued`);
  });
}

/** Warns if the queue is paused, and says why. @returns the pause, or null. */
export async function warnOfPause(
  output: Output,
  scope: Scope,
  options: { mask?: boolean } = {},
): Promise<PauseView | null> {
  const { describePause, readPause } = await loadPause();
  const pause = await readPause(scope.em, scope.keyring);
  if (pause === null) return null;
  const reason = options.mask && pause.reason ? maskText(pause.reason) : pause.reason;
  const described = describePause({ ...pause, reason }, scope.config);
  output.warn(`Nothing is sent: ${described.fact}, ${output.timeSince(pause.since)}.\n→ ${fixOf(described)}\n`);
  return pause;
}
