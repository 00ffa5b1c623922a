import type { Command } from 'commander';
import type { Cancelled } from '../../../services/emails/cancel-emails.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { addExamples, optionsOf } from '../../session/options.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import type { Deps } from '../../terminal/deps.ts';
import { Output } from '../../terminal/output.ts';

const words: Readonly<Record<Cancelled['result'], string>> = {
  cancelled: 'cancelled',
  'already-cancelled': 'already cancelled',
  refused: 'refused',
  'not-found': 'not found',
};

export function addCancelCommand(emails: Command, deps: Deps): void {
  const cancel = emails
    .command('cancel')
    .description('Give up emails that are queued, held or failed: they are kept, and never sent')
    .argument('<id...>', 'as shown by "emails list"')
    .option('--json', 'print JSON')
    .action(async (ids: string[], _options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      const load = () => import('../../../services/emails/cancel-emails.ts');
      const results = await runInScope(deps, load, (scope, { cancelEmails }) => cancelEmails(scope, ids));
      if (options.json) output.printJson({ items: results });
      else {
        output.printTable(results, [
          { header: 'ID', text: (it) => it.id },
          {
            header: 'RESULT',
            text: (it) => words[it.result],
            style: (text, it) => (it.code === null ? output.style.good(text) : output.style.bad(text)),
          },
          { header: 'WAS', text: (it) => it.state ?? '', omit: 1 },
          ...(results.some((it) => it.reason !== null)
            ? [{ header: 'WHY', text: (it: Cancelled) => it.reason ?? '', least: 16 }]
            : []),
        ]);
      }
      if (results.some((it) => it.code !== null)) deps.setExitCode(exitCode.refused);
    });
  addExamples(cancel, [
    'ruffinweb emails cancel 01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a',
    `ruffinweb emails list --state queued --limit 200 --json | jq -r '.items[].id' | xargs ruffinweb emails cancel`,
  ]);
}
