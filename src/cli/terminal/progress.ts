import type { Deps } from './deps.ts';
import type { GlobalOptions } from './output.ts';

export interface Progress extends Disposable {
  report(done: number): void;
  /** Makes room for a line of another kind. */
  clear(): void;
}

/** A line on the terminal that counts, and is gone at the end. Nothing where nobody looks, or for little work. */
export function showProgress(deps: Deps, options: GlobalOptions, total: number, word: string): Progress {
  const shown = deps.stderr.isTTY === true && !options.quiet && total > 100;
  const write = (line: string) => {
    if (shown) deps.stderr.write(`\r\u001b[K${line}`);
  };
  return {
    report: (done) => write(`${done} of ${total} ${word}`),
    clear: () => write(''),
    [Symbol.dispose]: () => write(''),
  };
}
