import { Problem } from '../../problems.ts';
import type { Deps } from './deps.ts';

/**
 * Asks before something that cannot be undone, unless `--yes` was given.
 *
 * @throws {Problem} argument-invalid without a terminal to ask on.
 * @throws {Refusal} at a no.
 * @throws {Interrupted} at Ctrl-C.
 */
export async function confirmOrRefuse(deps: Deps, options: { yes?: boolean }, question: string): Promise<void> {
  if (options.yes) return;
  if (!isInteractive(deps)) throw new Problem('argument-invalid', 'not a terminal: pass --yes');
  if (!(await confirm(deps, question))) throw new Refusal('nothing was changed');
}

/** The end of the input is a no. */
async function confirm(deps: Deps, question: string): Promise<boolean> {
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: deps.stdin, output: deps.stderr, terminal: true });
  const { promise: answered, resolve, reject } = Promise.withResolvers<string>();
  terminal.once('SIGINT', () => reject(new Interrupted()));
  terminal.once('close', () => resolve(''));
  // Ends with an AbortError when the terminal is closed below; by then the answer is known.
  terminal.question(`${question} [y/N] `).then(resolve, () => {});
  try {
    const answer = (await answered).trim();
    if (answer === '') deps.stderr.write('\n');
    return /^y(es)?$/i.test(answer);
  } catch (error) {
    deps.stderr.write('\n');
    throw error;
  } finally {
    terminal.close();
  }
}

export function isInteractive(deps: Deps): boolean {
  return deps.stdin.isTTY === true && deps.stderr.isTTY === true;
}
/** A command that could not do what was asked, or was told not to. The message says why and what would help. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** Ctrl-C while we asked. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  constructor() {
    super('interrupted, nothing was changed');
  }
}
