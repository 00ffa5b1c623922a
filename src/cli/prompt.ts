import { createInterface } from 'node:readline/promises';
import type { Deps } from './deps.ts';

/** Asks on a terminal; where there is none, nobody can have said yes. Ctrl-C is an AbortError. */
export async function confirm(deps: Deps, question: string): Promise<boolean> {
  if (!isInteractive(deps)) return false;
  const terminal = createInterface({ input: deps.stdin, output: deps.stderr });
  const interrupt = new AbortController();
  terminal.on('SIGINT', () => interrupt.abort());
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal: interrupt.signal });
    return /^y(es)?$/i.test(answer.trim());
  } finally {
    terminal.close();
    if (interrupt.signal.aborted) deps.stderr.write('\n');
  }
}

export function isInteractive(deps: Deps): boolean {
  return deps.stdin.isTTY === true && deps.stderr.isTTY === true;
}
