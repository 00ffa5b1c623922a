import type { Call, CliCommand } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { reasonColumn, resultColumn, wordResult } from '../../session/results.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { aboutColumns, idColumn } from './screens.ts';

export const whichEmail =
  'an id as shown by "emails list"; a receipt, an address or "latest" for the emails about that message';

export function addCancelCommand(emails: CliCommand): void {
  emails
    .command('cancel')
    .description('Cancel queued, held or failed emails: they stay listed and are never sent')
    .argument('<email...>', whichEmail)
    .option('--dry-run', 'only say what would happen')
    .option('--mask', 'hide addresses')
    .jsonOption()
    .examples(
      'ruffinweb emails cancel RW-4K2M9Q7T1X',
      `ruffinweb emails list --state queued --limit 200 --json | jq -r '.items[].id' | xargs ruffinweb emails cancel`,
    )
    .run(cancelEmails);
}

const load = async () => ({
  ...(await import('../../../services/emails/cancel-emails.ts')),
  ...(await import('../../../services/emails/describe-emails.ts')),
  ...(await import('../../../services/emails/find-named-emails.ts')),
});

async function cancelEmails({ deps, options, output }: Call, names: string[]): Promise<void> {
  const { items, about } = await runInScope(deps, load, async (scope, { cancelEmails, describeEmails, ...find }) => {
    const ids = await find.findNamedEmails(scope, names, {});
    const about = await describeEmails(scope, ids);
    return { about, items: await cancelEmails(scope, ids, options.dryRun) };
  });
  output.printResult({ ...(options.dryRun && { dryRun: true }), items }, () => {
    output.printTable(items, [
      ...aboutColumns(about, options),
      resultColumn(output, (it) =>
        options.dryRun && it.result === 'cancelled' ? 'would be cancelled' : wordResult(it),
      ),
      { header: 'WAS', text: (it) => it.state ?? '', omit: 5 },
      ...reasonColumn(items, 24),
      idColumn,
    ]);
    if (options.dryRun) output.note('\nNothing was changed.');
  });
  if (items.some((it) => it.code !== null)) deps.setExitCode(exitCode.refused);
}
