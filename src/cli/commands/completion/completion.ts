import type { Command } from 'commander';
import { addExamples } from '../../session/options.ts';
import type { Deps } from '../../terminal/deps.ts';

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

export function addCompletionCommands(program: Command, deps: Deps): void {
  const completion = program.command('completion').description('Let the shell complete these commands');
  for (const shell of Object.keys(shells) as (keyof typeof shells)[]) {
    const command = completion
      .command(shell)
      .description(`Print what ${shell} needs; write it where the examples say, and open a new shell`)
      .action(async () => {
        const [{ commandTree }, { completionScripts }] = await Promise.all([
          import('./command-tree.ts'),
          import('./scripts.ts'),
        ]);
        deps.stdout.write(completionScripts[shell](commandTree(program)));
      });
    addExamples(command, shells[shell]);
  }
}
