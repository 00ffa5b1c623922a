import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';

/**
 * A file with one JSON object on each line. A line is with the system before `write` returns, so a peer that writes it
 * before its answer never answers for something that the ledger does not have.
 */
export class Ledger<Line> implements Disposable {
  readonly #path: string;
  readonly #file: number;
  #count = 0;

  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'a');
  }

  write(line: Line): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
    this.#count += 1;
  }

  /** Lines so far. */
  get count(): number {
    return this.#count;
  }

  read(): Line[] {
    const lines = readFileSync(this.#path, 'utf8').split('\n');
    return lines.filter((it) => it !== '').map((it) => JSON.parse(it) as Line);
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}
