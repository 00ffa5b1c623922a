import type { Command } from 'commander';
import { addExamples } from '../session/options.ts';

/** `help` beside every command that has commands below it; commander's own looks one level down and no further. */
export function addHelpCommands(program: Command): void {
  for (const command of program.commands) if (command.commands.length > 0) addHelpCommands(command);
  const help = program
    .command('help')
    .description('print help for a command')
    .argument('[command...]')
    .action((names: string[]) => find(program, names).help());
  addExamples(help, ['ruffinweb help messages list', 'ruffinweb messages help list']);
}

function find(command: Command, names: readonly string[]): Command {
  const [name, ...rest] = names;
  if (name === undefined) return command;
  const found = command.commands.find((it) => it.name() === name);
  return found === undefined ? command.error(`error: unknown command '${name}'`) : find(found, rest);
}
