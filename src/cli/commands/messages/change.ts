import type { Command } from 'commander';
import type { MessageChange } from '../../../services/messages/change-message.ts';
import type { Scope } from '../../../services/scope.ts';
import { doToEach, printDone, setExitCodeOf } from '../../session/do-to-each.ts';
import { addExamples, optionsOf } from '../../session/options.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';
import type { Deps } from '../../terminal/deps.ts';
import { type GlobalOptions, Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';

interface ChangeOptions extends GlobalOptions {
  json?: boolean;
  yes?: boolean;
}

type Act = (scope: Scope, which: string) => Promise<MessageChange>;

/** `hold`, `release` and `delete` of messages that are named. */
export function addMessageChanges(messages: Command, deps: Deps): void {
  const hold = messages
    .command('hold')
    .description('Keep messages back, and with them all of their mail that is not sent yet')
    .argument('<message...>', 'receipts or ids')
    .option('--json', 'print JSON')
    .action((which: string[], _options, command: Command) =>
      change(deps, which, optionsOf<ChangeOptions>(command), {
        word: 'held',
        load: async () => (await import('../../../services/messages/change-message.ts')).holdMessage,
      }),
    );
  addExamples(hold, ['ruffinweb messages hold RW-4K2M9Q7T1X', 'ruffinweb messages hold RW-4K2M9Q7T1X --json']);

  const release = messages
    .command('release')
    .description('Release held messages: their mail is sent now')
    .argument('<message...>', 'receipts or ids')
    .option('--json', 'print JSON')
    .action((which: string[], _options, command: Command) =>
      change(deps, which, optionsOf<ChangeOptions>(command), {
        word: 'released',
        load: async () => (await import('../../../services/messages/change-message.ts')).releaseMessage,
      }),
    );
  addExamples(release, [
    'ruffinweb messages release RW-4K2M9Q7T1X',
    'ruffinweb messages release RW-4K2M9Q7T1X RW-8B3N5P1R6Z --json',
  ]);

  const remove = messages
    .command('delete')
    .description('Delete messages for good, with their emails; a sender without any goes with the next purge')
    .argument('<message...>', 'receipts or ids')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .action(async (which: string[], _options, command: Command) => {
      const options = optionsOf<ChangeOptions>(command);
      const what = which.length === 1 ? `message ${showSafe(which[0] ?? '')}` : `${which.length} messages`;
      await confirmOrRefuse(deps, options, `Delete ${what} for good, emails included?`);
      await change(deps, which, options, {
        word: 'deleted',
        load: async () => (await import('../../../services/messages/change-message.ts')).deleteMessage,
      });
    });
  addExamples(remove, [
    'ruffinweb messages delete RW-4K2M9Q7T1X',
    `ruffinweb messages list --status held --limit 200 --json | jq -r '.items[].id' | xargs ruffinweb messages delete --yes`,
  ]);
}

async function change(
  deps: Deps,
  which: readonly string[],
  options: ChangeOptions,
  { word, load }: { word: string; load: () => Promise<Act> },
): Promise<void> {
  const output = new Output(deps, options);
  const stop = deps.stopGently();
  const done = await runInScope(deps, load, (scope, act) => doToEach(which, stop, (it) => act(scope, it)));
  if (options.json) {
    output.printJson({
      items: done.map(({ which: given, result, code, reason }) => ({
        id: result?.id ?? given,
        receipt: result?.receipt ?? null,
        result: result === null ? 'refused' : result.changed ? word : `already-${word}`,
        code,
        reason,
      })),
    });
  } else {
    printDone(
      output,
      done,
      'RECEIPT',
      (it) => it.receipt,
      (it) => (it.changed ? word : `already ${word}`),
    );
  }
  setExitCodeOf(deps, done, stop);
}
