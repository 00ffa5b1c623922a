import { Problem } from '../../../problems.ts';
import type { MessageChange } from '../../../services/messages/change-message.ts';
import type { Scope } from '../../../services/scope.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { type Result, reasonColumn, resultColumn, setExitCode } from '../../session/results.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';
import { type Output, plural } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';

export function addMessageChanges(messages: CliCommand): void {
  messages
    .command('hold')
    .description('Hold messages back, with all of their mail that has not been sent yet')
    .argument('<message...>', 'receipts or ids')
    .jsonOption()
    .examples('ruffinweb messages hold RW-4K2M9Q7T1X', 'ruffinweb messages hold RW-4K2M9Q7T1X --json')
    .run((call, which: string[]) => change(call, which, 'held'));

  messages
    .command('delete')
    .description('Delete messages for good, with their emails; the next purge removes senders without messages')
    .argument('<message...>', 'receipts or ids')
    .option('--yes', 'do not ask')
    .jsonOption()
    .examples(
      'ruffinweb messages delete RW-4K2M9Q7T1X',
      `ruffinweb messages list --status held --limit 200 --json | jq -r '.items[].id' | xargs ruffinweb messages delete --yes`,
    )
    .run(async (call, which: string[]) => {
      const what = which.length === 1 ? `message ${showSafe(which[0] ?? '')}` : `${which.length} messages`;
      await confirmOrRefuse(call.deps, call.options, `Delete ${what} for good, emails included?`);
      await change(call, which, 'deleted');
    });
}

type ChangeWord = 'held' | 'released' | 'deleted';

export interface ChangeResult extends Result {
  id: string;
  receipt: string | null;
}

export async function change({ deps, output }: Call, which: readonly string[], word: ChangeWord): Promise<void> {
  const stop = deps.stopGently();
  const load = () => import('../../../services/messages/change-message.ts');
  const items = await runInScope(deps, load, async (scope, { holdMessage, releaseMessage, deleteMessage }) => {
    const act = { held: holdMessage, released: releaseMessage, deleted: deleteMessage }[word];
    const done: ChangeResult[] = [];
    for (const one of new Set(which)) {
      if (stop.aborted) break;
      done.push(await changeOne(scope, one, word, act));
    }
    return done;
  });
  output.printResult({ items }, () => printChanges(output, items));
  if (stop.aborted) output.warn(explainStop(items.length, new Set(which).size));
  const isRefused = items.some((it) => it.code !== null);
  setExitCode(deps, stop, isRefused);
}

export function printChanges(output: Output, items: readonly ChangeResult[]): void {
  output.printTable(items, [
    { header: 'RECEIPT', text: (it) => it.receipt ?? it.id },
    resultColumn(output),
    ...reasonColumn(items),
  ]);
}

/** Reports a refusal as a result, so that the other messages are still changed. */
export async function changeOne(
  scope: Scope,
  which: string,
  word: ChangeWord,
  act: (scope: Scope, which: string) => Promise<MessageChange>,
): Promise<ChangeResult> {
  try {
    const { id, receipt, changed } = await act(scope, which);
    return { id, receipt, result: changed ? word : `already-${word}`, code: null, reason: null };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { id: which, receipt: null, result: 'refused', code: error.code, reason: error.message };
  }
}

export function explainStop(done: number, asked: number): string {
  return `\nStopped after ${done} of ${plural(asked, 'message')}: the others are as they were.`;
}
