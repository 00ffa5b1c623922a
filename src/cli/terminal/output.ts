import type { Deps } from './deps.ts';
import { safeJson, showSafe } from './safe-text.ts';
import { createStyle, type Style } from './style.ts';
import { type Column, formatTable, wrap } from './table.ts';
import { textWidth } from './text-width.ts';
import { formatExact, formatRelative } from './times.ts';

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

/** Where a command prints: data to stdout, everything else to stderr. */
export class Output {
  readonly #deps: Deps;
  readonly #quiet: boolean;
  /** Columns that fit; without end where nobody looks. */
  readonly width: number;
  readonly style: Style;
  readonly #utc: boolean;
  readonly #now: () => Date;

  constructor(deps: Deps, options: DataOptions, now: () => Date = () => new Date()) {
    this.#deps = deps;
    this.#quiet = options.quiet ?? false;
    this.#utc = options.utc ?? false;
    this.#now = now;
    this.width = widthOf(deps, deps.stdout);
    this.style = createStyle(options.color && mayColour(deps, deps.stdout));
  }

  /** A line of data. What is not ours in it must have been through `showSafe`. */
  print(line = ''): void {
    this.#deps.stdout.write(`${line}\n`);
  }

  printJson(value: unknown): void {
    this.print(safeJson(value));
  }

  printTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): void {
    for (const line of formatTable(rows, columns, this.width, this.style)) this.print(line);
  }

  /** One thing, a line for each of its facts; those without a text are left out. */
  printDetails(facts: readonly Fact[]): void {
    const told = facts.filter((it): it is [string, string, Paint?] => it[1] !== null && it[1] !== undefined);
    const width = Math.max(...told.map(([label]) => textWidth(showSafe(label))));
    for (const [label, text, paint] of told) {
      const safe = showSafe(label);
      const padding = ' '.repeat(width - textWidth(safe) + 2);
      const [first = '', ...others] = wrap(showSafe(text), Math.max(20, this.width - width - 2));
      this.print(`${this.style.dim(safe)}${padding}${paint?.(first) ?? first}`.trimEnd());
      for (const line of others) this.print(`${' '.repeat(width + 2)}${paint?.(line) ?? line}`);
    }
  }

  /** The name of a text that follows. */
  printField(name: string): void {
    this.print(this.style.dim(showSafe(name)));
  }

  /** A text of several lines. Each bears a mark, so that none can pass for a line of ours. */
  printText(text: string): void {
    const mark = this.style.dim('│');
    for (const line of text.split(/\r\n|\n/)) {
      for (const piece of wrap(showSafe(line.replaceAll('\t', '    ')), Math.max(20, this.width - 2))) {
        this.print(`${mark} ${piece}`.trimEnd());
      }
    }
  }

  /** What a person wants to know and a script does not. */
  note(text: string): void {
    if (!this.#quiet) this.warn(text);
  }

  /** Also said to those who want it quiet. */
  warn(text: string): void {
    const { stderr } = this.#deps;
    for (const line of safeLines(text, widthOf(this.#deps, stderr))) stderr.write(`${line}\n`);
  }

  /** `3 min ago`, or the exact time where that was asked for. */
  time(at: Date | string): string {
    return this.#utc ? formatExact(new Date(at)) : formatRelative(new Date(at), this.#now());
  }

  /** Both, for views of one thing. */
  timeInFull(at: Date | string): string {
    const exact = formatExact(new Date(at));
    return this.#utc ? exact : `${formatRelative(new Date(at), this.#now())} (${exact})`;
  }
}

/** What is told to a person, in lines that fit. */
export function safeLines(text: string, width: number): string[] {
  const lines = showSafe(text, { keepLines: true }).split('\n');
  return lines.flatMap((it) => wrapAdvice(it, width));
}

/** Between words; a command stays in one piece, so that it can be copied. */
function wrapAdvice(line: string, width: number): string[] {
  const command = line.search(/: (see ")?ruffinweb /);
  if (textWidth(line) <= width || command < 0) return wrap(line, width);
  return [...wrap(line.slice(0, command + 1), width), `  ${line.slice(command + 2)}`];
}

/** `1 email`, `2 emails`. */
export function plural(count: number, noun: string, nouns = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : nouns}`;
}

type Paint = (text: string) => string;

/** A label and its text as it is stored. */
export type Fact = [label: string, text: string | null | undefined, paint?: Paint | undefined];

type Stream = Deps['stdout'];

/**
 * How wide lines may be: as `COLUMNS` says, as the terminal is, or without limit where nobody looks. A terminal that
 * was never told its size (`docker exec -t`, a serial console) says 0.
 */
export function widthOf(deps: Pick<Deps, 'env'>, stream: Stream): number {
  const asked = Number(deps.env.COLUMNS);
  if (Number.isInteger(asked) && asked > 0) return asked;
  return stream.isTTY ? stream.columns || 80 : Number.POSITIVE_INFINITY;
}

/** See https://no-color.org: any value but the empty one. */
export function mayColour(deps: Deps, stream: Stream): boolean {
  return stream.isTTY === true && !deps.env.NO_COLOR && deps.env.TERM !== 'dumb';
}
