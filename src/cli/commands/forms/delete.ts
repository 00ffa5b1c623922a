import type { Call, CliCommand } from '../../session/command.ts';
import { runInScope } from '../../session/run-in-scope.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';

export function addFormDelete(forms: CliCommand): void {
  forms
    .command('delete')
    .description('Delete a form that has no messages; posts to it are answered 404')
    .argument('<slug>', 'as shown by "forms list"')
    .option('--yes', 'do not ask')
    .jsonOption()
    .examples('ruffinweb forms delete shop', 'ruffinweb forms delete shop --yes --json')
    .run(deleteForm);
}

async function deleteForm({ deps, options, output }: Call, slug: string): Promise<void> {
  await runInScope(
    deps,
    () => import('../../../services/forms/delete-form.ts'),
    async (scope, { deleteForm, requireDeletable }) => {
      await requireDeletable(scope, slug);
      await confirmOrRefuse(deps, options, `Delete the form "${slug}" for good? Pages that post to it will fail.`);
      await deleteForm(scope, slug);
    },
  );
  output.printResult({ slug, deleted: true }, () => output.print(`The form "${slug}" was deleted.`));
}
