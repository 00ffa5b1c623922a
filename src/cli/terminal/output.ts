import type { Deps } from './deps.ts';
import { safeJson, showSafe } from './safe-text.ts';
import { createStyle, type Style } from './style.ts';
import { type Column, formatTable, wrap } from './table.ts';
import { textWidth } from './text-width.ts';
import { formatClock, formatExact, formatForList, formatRelative } from './times.ts';

/** Options of the program, and those that several commands share. */
export interface CommonOptions {
  color: boolean;
  quiet?: boolean;
  json?: boolean;
  utc?: boolean;
  mask?: boolean;
  yes?: boolean;
  dryRun?: boolean;
}

/** Where a command prints: data to stdout, everything else to stderr. */
export class Output {
  readonly #deps: Deps;
  readonly #options: CommonOptions;
  /** How many columns fit; infinite in a pipe. */
  readonly width: number;
  readonly style: Style;

  constructor(deps: Deps, options: CommonOptions) {
    this.#deps = deps;
    this.#options = options;
    this.width = widthOf(deps, deps.stdout);
    this.style = createStyle(options.color && mayColour(deps, deps.stdout));
  }

  /** Prints a line of data. Pass text that is not ours through `showSafe` first. */
  print(line = ''): void {
    this.#deps.stdout.write(`${line}\n`);
  }

  printJson(value: unknown): void {
    this.print(safeJson(value));
  }

  /** Prints the value as JSON with `--json`; otherwise calls `printForPeople`. */
  printResult(value: unknown, printForPeople: () => void): void {
    if (this.#options.json) this.printJson(value);
    else printForPeople();
  }

  printTable<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): void {
    for (const line of formatTable(rows, columns, this.width, this.style)) this.print(line);
  }

  /** Prints one thing, a line for each fact. Facts without a text are left out. */
  printDetails(facts: readonly Fact[]): void {
    const shown = facts.filter((it): it is [string, string, Paint?] => it[1] !== null && it[1] !== undefined);
    const width = Math.max(...shown.map(([label]) => textWidth(showSafe(label))));
    for (const [label, text, paint] of shown) {
      const safe = showSafe(label);
      const padding = ' '.repeat(width - textWidth(safe) + 2);
      const [first = '', ...others] = wrap(showSafe(text), Math.max(20, this.width - width - 2));
      this.print(`${this.style.dim(safe)}${padding}${paint?.(first) ?? first}`.trimEnd());
      for (const line of others) this.print(`${' '.repeat(width + 2)}${paint?.(line) ?? line}`);
    }
  }

  /** Prints a text of several lines. Each line gets a mark, so that a visitor's text cannot pass for our output. */
  printText(text: string): void {
    const mark = this.style.dim('│');
    for (const line of text.split(/\r\n|\n/)) {
      for (const piece of wrap(showSafe(line.replaceAll('\t', '    ')), Math.max(20, this.width - 2))) {
        this.print(`${mark} ${piece}`.trimEnd());
      }
    }
  }

  /** Tells people something that scripts do not need; `--quiet` suppresses it. */
  note(text: string): void {
    if (!this.#options.quiet) this.warn(text);
  }

  warn(text: string): void {
    writeToStderr(this.#deps, text);
  }

  /** `3 min ago`, or the exact time with `--utc`. */
  time(at: Date | string): string {
    return this.#options.utc ? this.exactTime(at) : formatRelative(new Date(at), new Date());
  }

  /** Like `time` for something that is waited for: `now` if its time has come, or comes within seconds. */
  dueTime(at: Date | string): string {
    if (this.#options.utc) return this.exactTime(at);
    const seconds = Math.ceil((new Date(at).getTime() - Date.now()) / 1000);
    if (seconds <= 0) return 'now';
    return seconds <= 5 ? `in ${seconds} s` : this.time(at);
  }

  /** `for 3 min`, `just now`, or `since 2026-11-22`. */
  timeSince(at: Date | string): string {
    const time = this.time(at);
    if (time === 'just now') return time;
    return time.endsWith(' ago') ? `for ${time.slice(0, -4)}` : `since ${time}`;
  }

  /** `3 min ago`, `28 Nov 14:03` beyond a day, or the exact time with `--utc`. */
  timeInList(at: Date | string): string {
    return this.#options.utc ? this.exactTime(at) : formatForList(new Date(at), new Date());
  }

  /** `14:03:22`, or the exact time with `--utc`. */
  clock(at: Date | string): string {
    return this.#options.utc ? this.exactTime(at) : formatClock(new Date(at));
  }

  /** `3 min ago (2026-11-22 08:33:05+01:00)`, or only the exact time with `--utc`. */
  timeInFull(at: Date | string): string {
    return this.#options.utc ? this.exactTime(at) : `${this.time(at)} (${this.exactTime(at)})`;
  }

  /** `2026-11-22 08:33:05+01:00`, or with `--utc` `2026-11-22 07:33:05Z`. */
  exactTime(at: Date | string): string {
    return formatExact(new Date(at), this.#options.utc);
  }
}

/** Longer than any sentence, and than any command worth copying: errors repeat what was typed. */
const maxLine = 4000;

/** The lines of a text, with control characters escaped. */
export function safeLines(text: string): string[] {
  const lines = showSafe(text, { keepLines: true }).split('\n');
  return lines.map((line) => (line.length > maxLine ? `${line.slice(0, maxLine).toWellFormed()}…` : line));
}

/** Writes text in lines that fit, with control characters escaped. */
export function writeToStderr(deps: Pick<Deps, 'env' | 'stderr'>, text: string): void {
  const width = widthOf(deps, deps.stderr);
  for (const line of safeLines(text)) {
    for (const piece of wrapAdvice(line, width)) deps.stderr.write(`${piece}\n`);
  }
}

/** Wraps between words, but keeps a command at the end in one piece so that it can be copied. */
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

/** A label and its text as stored, which may come from a stranger. */
export type Fact = [label: string, text: string | null | undefined, paint?: Paint | undefined];

type Stream = Deps['stdout'];

/**
 * How many columns a line may have: what `COLUMNS` says, or the terminal's width; infinite in a pipe. Some terminals
 * (`docker exec -t`, a serial console) do not know their size and say 0.
 */
export function widthOf(deps: Pick<Deps, 'env'>, stream: Stream): number {
  const wanted = Number(deps.env.COLUMNS);
  if (Number.isInteger(wanted) && wanted > 0) return wanted;
  return stream.isTTY ? stream.columns || 80 : Number.POSITIVE_INFINITY;
}

/** See https://no-color.org: any value except the empty one means no colours. */
export function mayColour(deps: Deps, stream: Stream): boolean {
  return stream.isTTY === true && !deps.env.NO_COLOR && deps.env.TERM !== 'dumb';
}
