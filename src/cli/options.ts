import type { Command } from 'commander';

/** Options that every command may be given. */
export interface GlobalOptions {
  quiet?: boolean;
  color: boolean;
}

/** Options of commands that print data. */
export interface DataOptions extends GlobalOptions {
  json?: boolean;
  mask?: boolean;
  utc?: boolean;
}

/** The options of this command together with those of the program. */
export function optionsOf<Options extends GlobalOptions = DataOptions>(command: Command): Options {
  return command.optsWithGlobals<Options>();
}

export function addExamples(command: Command, examples: readonly [string, string, ...string[]]): Command {
  return command.addHelpText('after', () => `\nExamples:\n${examples.map((it) => `  $ ${it}\n`).join('')}`);
}
