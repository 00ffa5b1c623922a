import { Problem } from '../../../problems.ts';
import type { MessageChange } from '../../../services/messages/change-message.ts';
import type { Scope } from '../../../services/scope.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { type Result, reasonColumn, resultColumn, setExitCode } from '../../session/results.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';
import { plural } from '../../terminal/output.ts';

export const whichMessage = 'its receipt, its id, "latest", or the address of somebody who wrote only one';
export const manyMessages = 'receipts, ids, "latest", or addresses of people who wrote only one';

export function addMessageChanges(messages: CliCommand): void {
  messages
    .command('hold')
    .description('Hold messages back, with all of their mail that has not been sent yet')
    .argument('<message...>', manyMessages)
    .jsonOption()
    .examples('ruffinweb messages hold RW-4K2M9Q7T1X', 'ruffinweb messages hold RW-4K2M9Q7T1X --json')
    .run((call, which: string[]) => change(call, which, 'held'));

  messages
    .command('delete')
    .description('Delete messages for good, with their emails; the next purge removes senders without messages')
    .argument('<message...>', manyMessages)
    .option('--yes', 'do not ask')
    .jsonOption()
    .examples(
      'ruffinweb messages delete RW-4K2M9Q7T1X',
      `ruffinweb messages list --status held --limit 200 --json | jq -r '.items[].id' | xargs ruffinweb messages delete --yes`,
    )
    .run((call, which: string[]) => change(call, which, 'deleted', deleteQuestion));
}

function deleteQuestion([first, ...others]: readonly Pick<ChangeResult, 'receipt'>[]): string {
  const what = others.length === 0 ? `message ${first?.receipt}` : `${others.length + 1} messages`;
  return `Delete ${what} for good, emails included?`;
}

type ChangeWord = 'held' | 'released' | 'deleted';

interface ChangeResult extends Result {
  id: string;
  receipt: string | null;
}

/** @param which the messages' names, or a function that finds them. @param question asked first, about the messages found. */
export async function change(
  call: Call,
  which: readonly string[] | ((scope: Scope) => Promise<Named[]>),
  word: ChangeWord,
  question?: (found: readonly Pick<ChangeResult, 'receipt'>[]) => string,
): Promise<void> {
  const { deps, options, output } = call;
  const load = () => import('../../../services/messages/change-message.ts');
  await runInScope(deps, load, async (scope, { holdMessage, releaseMessage, deleteMessage }) => {
    const act = { held: holdMessage, released: releaseMessage, deleted: deleteMessage }[word];
    const named = typeof which === 'function' ? await which(scope) : await nameAll(scope, which);
    const found = named.filter((it) => !('result' in it));
    if (question !== undefined && found.length > 0) await confirmOrRefuse(deps, options, question(found));
    const stop = deps.stopGently();
    const items: ChangeResult[] = [];
    for (const one of named) {
      if (stop.aborted) break;
      items.push('result' in one ? one : await changeOne(scope, one, word, act));
    }
    output.printResult({ items }, () => {
      if (items.length === 0) return;
      const receipt = { header: 'RECEIPT', text: (it: ChangeResult) => it.receipt ?? it.id };
      output.printTable(items, [receipt, resultColumn(output), ...reasonColumn(items)]);
    });
    if (stop.aborted)
      output.warn(
        `\nStopped after ${items.length} of ${plural(named.length, 'message')}: the others are as they were.`,
      );
    const isRefused = items.some((it) => it.code !== null);
    setExitCode(deps, stop, isRefused);
  });
}

interface Named {
  id: string;
  receipt: string;
}

/** Before anything changes, since a deletion makes another message the latest. Each message comes once. */
async function nameAll(scope: Scope, names: readonly string[]): Promise<(Named | ChangeResult)[]> {
  const { findNamedMessage } = await import('../../../services/find-named.ts');
  const named = new Map<string, Named | ChangeResult>();
  for (const name of names) {
    try {
      const { id, receipt } = await findNamedMessage(scope, name);
      named.set(id, { id, receipt });
    } catch (error) {
      named.set(name, refusalOf({ id: name, receipt: null }, error));
    }
  }
  return [...named.values()];
}

async function changeOne(
  scope: Scope,
  named: Named,
  word: ChangeWord,
  act: (scope: Scope, which: string) => Promise<MessageChange>,
): Promise<ChangeResult> {
  try {
    const { changed } = await act(scope, named.id);
    return { ...named, result: changed ? word : `already-${word}`, code: null, reason: null };
  } catch (error) {
    return refusalOf(named, error);
  }
}

/** Reports a refusal as a result, so that the other messages are still changed. */
function refusalOf(named: Pick<ChangeResult, 'id' | 'receipt'>, error: unknown): ChangeResult {
  if (!(error instanceof Problem)) throw error;
  return { ...named, result: 'refused', code: error.code, reason: error.message };
}
