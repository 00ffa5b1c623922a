import type { Call, CliCommand } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { reasonColumn, resultColumn } from '../../session/results.ts';
import { runInScope } from '../../session/run-in-scope.ts';

export function addCancelCommand(emails: CliCommand): void {
  emails
    .command('cancel')
    .description('Cancel queued, held or failed emails: they stay listed and are never sent')
    .argument('<id...>', 'as shown by "emails list"')
    .jsonOption()
    .examples(
      'ruffinweb emails cancel 01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a',
      `ruffinweb emails list --state queued --limit 200 --json | jq -r '.items[].id' | xargs ruffinweb emails cancel`,
    )
    .run(cancelEmails);
}

async function cancelEmails({ deps, output }: Call, ids: string[]): Promise<void> {
  const load = () => import('../../../services/emails/cancel-emails.ts');
  const items = await runInScope(deps, load, (scope, { cancelEmails }) => cancelEmails(scope, ids));
  output.printResult({ items }, () =>
    output.printTable(items, [
      { header: 'ID', text: (it) => it.id },
      resultColumn(output),
      { header: 'WAS', text: (it) => it.state ?? '', omit: 1 },
      ...reasonColumn(items),
    ]),
  );
  if (items.some((it) => it.code !== null)) deps.setExitCode(exitCode.refused);
}
