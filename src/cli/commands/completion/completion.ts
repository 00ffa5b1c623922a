import type { Call, CliCommand } from '../../session/command.ts';
import { openDatabase } from '../../session/open-context.ts';

/** For each shell, where it looks for completions. */
const shells = {
  bash: [
    'ruffinweb completion bash > ~/.local/share/bash-completion/completions/ruffinweb',
    'ruffinweb completion bash >> ~/.bashrc',
  ],
  zsh: [
    'ruffinweb completion zsh > ~/.zfunc/_ruffinweb',
    'ruffinweb completion zsh > /usr/local/share/zsh/site-functions/_ruffinweb',
  ],
  fish: ['ruffinweb completion fish > ~/.config/fish/completions/ruffinweb.fish', 'ruffinweb completion fish | source'],
} as const satisfies Record<string, readonly [string, string]>;

export function addCompletionCommands(program: CliCommand): void {
  const completion = program.command('completion').description('Let your shell complete these commands');
  for (const shell of Object.keys(shells) as (keyof typeof shells)[]) {
    const [first, second] = shells[shell];
    completion
      .command(shell)
      .description(`Print the completion script for ${shell}; save it as in the examples, and open a new shell`)
      .examples(first, second)
      .run(async ({ deps }) => {
        const { commandTree } = await import('./command-tree.ts');
        const { completionScripts } = await import('./scripts.ts');
        deps.stdout.write(completionScripts[shell](commandTree(program)));
      });
  }
  completion
    .command('slugs', { hidden: true })
    .description('Print the slugs of all forms, for these scripts')
    .examples('ruffinweb completion slugs', 'ruffinweb completion slugs | sort')
    .run(printSlugs);
}

/** Somebody pressed TAB: nothing is asked or changed, and no slug is better than an error. */
async function printSlugs({ deps, output }: Call): Promise<void> {
  try {
    await using base = await openDatabase(deps, { embedded: 'join', waiting: 'visitor', entities: [] });
    const { listSlugs } = await import('../../../services/forms/forms.ts');
    for (const slug of await listSlugs(base.orm.em.fork())) output.print(slug);
  } catch {
    // The database is away, or this folder has no settings.
  }
}
