import type { Command, Option } from 'commander';

/** What a shell needs to know about one command. */
export interface CommandNode {
  /** Its words without the program's name: `emails list`. */
  path: string;
  commands: { name: string; description: string }[];
  options: OptionNode[];
  /** The choices of its first argument, if it has any. */
  choices: readonly string[];
  /** Whether its first argument is the slug of a form that exists. */
  takesSlug: boolean;
}

export interface OptionNode {
  /** `--json`, and the short form if there is one. */
  flags: string[];
  description: string;
  takesValue: boolean;
  takesSlug: boolean;
  choices: readonly string[];
}

/** All commands of a program; the first one is the program itself. */
export function commandTree(program: Command): CommandNode[] {
  const everywhere = optionsOf(program).filter(({ flags }) => !flags.includes('--version'));
  const visit = (command: Command, path: string): CommandNode[] => {
    const visible = command.createHelp().visibleCommands(command);
    const node: CommandNode = {
      path,
      commands: visible.map((it) => ({ name: it.name(), description: it.description() })),
      options: [...optionsOf(command), ...(command === program ? [] : everywhere)].filter(isFirst),
      choices: command.registeredArguments[0]?.argChoices ?? [],
      takesSlug: command.registeredArguments[0]?.name() === 'slug' && command.name() !== 'add',
    };
    return [node, ...visible.flatMap((it) => visit(it, `${path} ${it.name()}`.trim()))];
  };
  return visit(program, '');
}

function optionsOf(command: Command): OptionNode[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map((it: Option) => ({
      flags: [it.long, it.short].filter((flag) => flag !== undefined && flag !== null),
      description: it.description,
      takesValue: it.required || it.optional,
      takesSlug: it.long === '--form',
      choices: it.argChoices ?? [],
    }));
}

function isFirst(option: OptionNode, index: number, all: readonly OptionNode[]): boolean {
  return all.findIndex((it) => it.flags[0] === option.flags[0]) === index;
}
