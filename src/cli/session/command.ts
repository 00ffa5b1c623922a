import { Command, type ErrorOptions, InvalidArgumentError, Option } from 'commander';
import type { Deps } from '../terminal/deps.ts';
import { type CommonOptions, Output } from '../terminal/output.ts';
import { timeForms } from '../terminal/times.ts';
import { quoteForShell, rightCommand } from './familiar-verbs.ts';

/** What a command works with. */
export interface Call<Options = unknown> {
  deps: Deps;
  /** The options of the command and of the program. */
  options: CommonOptions & Options;
  output: Output;
  /** The command that was typed, for the page after this cursor. */
  nextCommand(cursor: string): string;
}

/** Commander's command with our examples, shared options and actions. */
export class CliCommand extends Command {
  readonly #deps: Deps;

  constructor(deps: Deps, name?: string) {
    super(name);
    this.#deps = deps;
  }

  override createCommand(name?: string): CliCommand {
    return new CliCommand(this.#deps, name);
  }

  override error(message: string, options?: ErrorOptions): never {
    const isUnknown = options?.code === 'commander.unknownCommand';
    const isList = this.name() === 'list' && this.parent?.name() === 'messages';
    const right = isUnknown
      ? rightCommand(this, this.args)
      : isList && options?.code === 'commander.excessArguments'
        ? `error: "messages list" takes no words: use ruffinweb find ${this.args.map(quoteForShell).join(' ')}`
        : undefined;
    if (right !== undefined) this.showHelpAfterError(false);
    return super.error(right ?? message, options);
  }

  examples(...lines: [string, string, ...string[]]): this {
    return this.addHelpText('after', `\nExamples:\n${lines.map((it) => `  $ ${it}\n`).join('')}`);
  }

  /** Sets the function that does the work; it gets the call and the command's arguments. */
  run<Options, Arguments extends unknown[]>(
    act: (call: Call<Options>, ...args: Arguments) => Promise<void> | void,
  ): this {
    return this.action(async (...given: unknown[]) => {
      const options = this.optsWithGlobals<CommonOptions & Options>();
      const output = new Output(this.#deps, options);
      // Commander adds the options and the command to the arguments.
      const nextCommand = (cursor: string) => typedAgain(this, cursor);
      await act({ deps: this.#deps, options, output, nextCommand }, ...(given.slice(0, -2) as Arguments));
    });
  }

  jsonOption(what = 'print JSON'): this {
    return this.option('--json', what);
  }

  dataOptions(json?: string): this {
    return this.jsonOption(json).option('--mask', 'hide addresses and names');
  }

  pageOptions(): this {
    return this.option('--limit <number>', 'how many to print, up to 200 (default: 50)', wholeNumber(1, 200))
      .option('--cursor <cursor>', 'continue after the page that printed this cursor')
      .addOption(new Option('--all', 'print page after page, to the end').conflicts(['limit', 'cursor']))
      .dataOptions();
  }

  /** @param what happened in the period, if that is not obvious. */
  periodOptions(what = ''): this {
    return this.option('--since <time>', `${what}at this time or later, in your time zone: ${timeForms}`).option(
      '--until <time>',
      `${what}before this time`,
    );
  }
}

function typedAgain(command: Command, cursor: string): string {
  let root = command;
  while (root.parent !== null) root = root.parent;
  // Commander declares no type for it.
  const typed = (root as unknown as { rawArgs: string[] }).rawArgs.slice(2);
  const at = typed.findIndex((it) => /^--cursor(=|$)/.test(it));
  if (at >= 0) typed.splice(at, typed[at] === '--cursor' ? 2 : 1);
  return `ruffinweb ${[...typed, '--cursor', cursor].map(quoteForShell).join(' ')}`;
}

/** Makes a parser for the value of an option. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (Number.isInteger(number) && number >= min && number <= max) return number;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

/** The parser of an option that limits what a command acts on: an empty shell variable must not mean everything. */
export function notEmpty(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It must not be empty.');
  return text;
}
