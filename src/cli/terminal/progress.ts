import type { Deps } from './deps.ts';
import type { CommonOptions } from './output.ts';

export interface Progress extends Disposable {
  report(done: number): void;
  /** Makes room for a line of another kind. */
  clear(): void;
}

/**
 * A counter in one line of the terminal, cleared at the end. Silent in a pipe, with `--quiet` and for up to 100 items.
 *
 * @param total undefined if nobody knows.
 */
export function showProgress(deps: Deps, options: CommonOptions, total: number | undefined, word: string): Progress {
  const shown = deps.stderr.isTTY === true && !options.quiet && (total ?? Number.POSITIVE_INFINITY) > 100;
  const of = total === undefined ? '' : ` of ${total}`;
  const write = (line: string) => {
    if (shown) deps.stderr.write(`\r\u001b[K${line}`);
  };
  return {
    report: (done) => write(`${done}${of} ${word}`),
    clear: () => write(''),
    [Symbol.dispose]: () => write(''),
  };
}
