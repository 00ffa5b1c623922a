import { parseArgs } from 'node:util';

export interface Options {
  seed: number;
  /** The ids of the chosen faults; undefined: all of them, the drill of the alarm, and the page. */
  only: readonly string[] | undefined;
  isShort: boolean;
}

/** An option that makes no sense. */
export class OptionError extends Error {}

/**
 * @param ids of every fault.
 * @throws {OptionError} if an option is unknown or has no meaning: a run of 25 minutes must not begin by mistake.
 */
export function readOptions(args: readonly string[], ids: readonly string[]): Options {
  const { full, short, seed, only } = parse(args);
  if (!full) throw new OptionError('--seed, --only and --short belong to --full');
  if (seed !== undefined && !/^\d{1,10}$/.test(seed)) throw new OptionError(`--seed is a whole number, not ${seed}`);
  const chosen = only?.split(',');
  const unknown = chosen?.filter((it) => !ids.includes(it)) ?? [];
  if (unknown.length > 0)
    throw new OptionError(`--only does not know "${unknown.join(', ')}". It knows ${ids.join(', ')}`);
  return { seed: Number(seed ?? Math.floor(Math.random() * 2 ** 31)), only: chosen, isShort: short ?? false };
}

function parse(args: readonly string[]) {
  const boolean = { type: 'boolean' } as const;
  const string = { type: 'string' } as const;
  try {
    return parseArgs({ args: [...args], options: { full: boolean, short: boolean, seed: string, only: string } })
      .values;
  } catch (error) {
    throw new OptionError((error as Error).message);
  }
}
