import type { Command } from 'commander';
import type { CliCommand } from '../session/command.ts';

/** Adds `help` to every command that has subcommands. Commander's own knows only one level of them. */
export function addHelpCommands(program: CliCommand): void {
  for (const command of program.commands) {
    if (command.commands.length > 0) addHelpCommands(command as CliCommand);
  }
  program
    .command('help')
    .description('print help for a command')
    .argument('[command...]')
    .examples('ruffinweb help messages list', 'ruffinweb messages help list')
    .action((names: string[]) => find(program, names).help());
}

function find(command: Command, names: readonly string[]): Command {
  const [name, ...rest] = names;
  if (name === undefined) return command;
  const found = command.commands.find((it) => it.name() === name);
  return found === undefined ? command.error(`error: unknown command '${name}'`) : find(found, rest);
}
