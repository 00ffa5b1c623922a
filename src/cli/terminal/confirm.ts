import { Problem } from '../../problems.ts';
import type { Deps } from './deps.ts';

/**
 * Asks before a change that cannot be undone, unless `--yes` was given.
 *
 * @throws {Problem} argument-invalid if there is no terminal.
 * @throws {Refusal} if the answer is no.
 * @throws {Interrupted} on Ctrl-C.
 */
export async function confirmOrRefuse(deps: Deps, options: { yes?: boolean }, question: string): Promise<void> {
  if (options.yes) return;
  if (!isInteractive(deps)) throw new Problem('argument-invalid', 'not a terminal: pass --yes');
  if (!(await confirm(deps, question))) throw new Refusal('nothing was changed');
}

/** End of input means no. */
async function confirm(deps: Deps, question: string): Promise<boolean> {
  const { createInterface } = await import('node:readline/promises');
  const terminal = createInterface({ input: deps.stdin, output: deps.stderr, terminal: true });
  const { promise: answered, resolve, reject } = Promise.withResolvers<string>();
  terminal.once('SIGINT', () => reject(new Interrupted()));
  terminal.once('close', () => resolve(''));
  // Closing the terminal below rejects this; by then the answer is known.
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

/** The command could not do what was asked, or the operator said no. The message says why and what to do. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
}

/** Ctrl-C in answer to a question. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';

  constructor() {
    super('interrupted, nothing was changed');
  }
}
