import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { styleText } from 'node:util';
import type { Machine } from './machine.ts';
import { median } from './rounds.ts';

/** One subcommand of `npm run bench`. */
export interface Part {
  /** What is measured and how, for the results. */
  readonly about: string;
  /** @param commit for the part that compares with another commit. */
  run(machine: Machine, commit?: string): Promise<Result>;
}

export interface Result {
  readonly columns: readonly string[];
  /** Each row begins with its name. */
  readonly rows: readonly (readonly string[])[];
  readonly bars: readonly Bar[];
}

/** A limit and the measured value. */
export interface Bar {
  readonly what: string;
  readonly is: string;
  readonly asked: string;
  readonly met: boolean;
}

export function atLeast(what: string, value: number, bar: number, unit = '×'): Bar {
  return { what, is: figure(value, unit), asked: `≥ ${figure(bar, unit)}`, met: value >= bar };
}

export function atMost(what: string, value: number, bar: number, unit = '×'): Bar {
  return { what, is: figure(value, unit), asked: `≤ ${figure(bar, unit)}`, met: value <= bar };
}

/** The median of the ratios must not be above the bar, unless their range crosses it: then the two count as equal. */
export function atMostUnlessEqual(what: string, ratios: readonly number[], bar: number): Bar {
  const isEqual = Math.min(...ratios) <= bar && Math.max(...ratios) > bar;
  const { is, asked, met } = atMost(what, median(ratios), bar);
  return { what, is: isEqual ? `${is}, equal` : is, asked, met: met || isEqual };
}

/** With three digits: these measurements are not more precise. */
export function figure(value: number, unit = ''): string {
  const text = value >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
  return unit === '' || unit === '×' || unit === '%' ? text + unit : `${text} ${unit}`;
}

export function printResult(result: Result): void {
  console.log(`\n${columned([result.columns, ...result.rows])}\n`);
  for (const bar of result.bars) {
    const sign = bar.met ? styleText('green', '✓') : styleText('red', '✗');
    console.log(`${sign} ${bar.what}: ${bar.is} (${bar.asked})`);
  }
}

const file = new URL('../results.md', import.meta.url);
const preface = `# Results

Written by \`npm run bench\`. Server, database and load generator share one machine that may have other work, so only ratios
within one run mean anything. Each figure is the median of interleaved rounds.
`;

/** Replaces a part's section in the results and keeps the other sections. */
export function writeResult(name: string, about: string, result: Result, machine: string): void {
  const before = existsSync(file)
    ? readFileSync(file, 'utf8')
        .split(/^(?=## )/m)
        .slice(1)
    : [];
  const date = new Date().toISOString().slice(0, 10);
  const section = [
    `## ${name}`,
    `${about}`,
    `${date}, ${machine}.`,
    table(result.columns, result.rows),
    ...(result.bars.length > 0 ? [tableOf(result.bars)] : []),
  ].join('\n\n');
  const sections = [...before.filter((it) => !it.startsWith(`## ${name}\n`)), `${section}\n`];
  const order = (it: string) => it.slice(0, it.indexOf('\n'));
  sections.sort((a, b) => order(a).localeCompare(order(b)));
  writeFileSync(file, [preface, ...sections.map((it) => `${it.trim()}\n`)].join('\n'));
}

function tableOf(bars: readonly Bar[]): string {
  return table(
    ['bar', 'required', 'measured', ''],
    bars.map((bar) => [bar.what, bar.asked, bar.is, bar.met ? 'met' : '**missed**']),
  );
}

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(columns), line(columns.map((_, index) => (index === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}

function columned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join('  '),
    )
    .join('\n');
}
