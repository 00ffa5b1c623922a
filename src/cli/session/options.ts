import { type Command, InvalidArgumentError } from 'commander';
import type { PageRequest, Period } from '../../services/paging.ts';
import type { DataOptions, GlobalOptions } from '../terminal/output.ts';
import { readMoment } from '../terminal/times.ts';

/** The options of this command together with those of the program. */
export function optionsOf<Options extends GlobalOptions = DataOptions>(command: Command): Options {
  return command.optsWithGlobals<Options>();
}

export function addDataOptions(command: Command): Command {
  return command
    .option('--json', 'print JSON')
    .option('--utc', 'print exact times')
    .option('--mask', 'hide addresses and names');
}

export interface ListOptions extends DataOptions {
  limit?: number;
  cursor?: string;
}

export function addPageOptions(command: Command): Command {
  return addDataOptions(
    command
      .option('--limit <number>', 'how many to print, up to 200 (default: 50)', readCount)
      .option('--cursor <cursor>', 'go on where the list before ended'),
  );
}

export function pageOf({ limit, cursor }: ListOptions): PageRequest {
  return { ...(limit !== undefined && { limit }), ...(cursor !== undefined && { cursor }) };
}

export interface PeriodOptions {
  since?: string;
  until?: string;
}

/** @param what happened then, where that is not plain. */
export function addPeriodOptions(command: Command, what = ''): Command {
  return command
    .option('--since <time>', `${what}from then on: 2d, 3h, 90m ago, or 2026-11-22, or 2026-11-22T07:33Z`)
    .option('--until <time>', `${what}before then`);
}

/** @throws {Problem} argument-invalid */
export function periodOf(options: PeriodOptions, now: Date): Period {
  return {
    ...(options.since !== undefined && { since: readMoment('--since', options.since, now) }),
    ...(options.until !== undefined && { until: readMoment('--until', options.until, now) }),
  };
}

function readCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > 200) throw new InvalidArgumentError('It must be from 1 to 200.');
  return count;
}

export function addExamples(command: Command, examples: readonly [string, string, ...string[]]): Command {
  return command.addHelpText('after', () => `\nExamples:\n${examples.map((it) => `  $ ${it}\n`).join('')}`);
}
