import { readFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { MutantResult } from '@stryker-mutator/api/core';

/** A mutant that behaves like the program, so that no test can notice it. */
export interface Equivalent {
  /** The line of the source where it starts, without indentation. */
  line: string;
  from: string;
  to: string;
  why: string;
}

export interface Result {
  file: string;
  at: number;
  line: string;
  from: string;
  to: string;
  status: 'killed' | 'timed out' | 'survived' | 'not covered';
}

/** By file. */
export type Equivalents = Readonly<Record<string, readonly Equivalent[]>>;

export function readEquivalents(): Equivalents {
  return JSON.parse(readFileSync(new URL('equivalent.json', import.meta.url), 'utf8'));
}

/** Leaves out what Stryker was told to ignore. */
export function resultsOf(mutants: readonly MutantResult[]): Result[] {
  return mutants.filter((it) => it.status !== 'Ignored').map(resultOf);
}

function resultOf({ fileName, location: { start, end }, replacement = '', status }: MutantResult): Result {
  const lines = readFileSync(fileName, 'utf8').split('\n');
  const part = lines.slice(start.line - 1, end.line);
  // The end first: both may be in the same line.
  part.push(part.pop()?.slice(0, end.column - 1) ?? '');
  part.unshift(part.shift()?.slice(start.column - 1) ?? '');
  return {
    file: relative('.', fileName),
    at: start.line,
    line: lines[start.line - 1]?.trim() ?? '',
    from: oneLine(part.join('\n')),
    to: oneLine(replacement),
    status: statusOf(status),
  };
}

function statusOf(status: MutantResult['status']): Result['status'] {
  if (status === 'Timeout') return 'timed out';
  if (status === 'NoCoverage') return 'not covered';
  // An error: the program does not start.
  if (status === 'Killed' || status === 'RuntimeError') return 'killed';
  if (status === 'Survived') return 'survived';
  throw new Error(`unexpected: ${status}`);
}

function oneLine(code: string): string {
  return code.replaceAll(/\s+/g, ' ').slice(0, 160);
}

export interface Judged {
  equivalent: Result[];
  /** Every one needs a test, or less code. */
  survivors: Result[];
  /** Entries of the list without a survivor: the code has changed, or a test notices it. */
  stale: Equivalent[];
}

/** Compares with the list of equivalent mutants. */
export function judge(results: readonly Result[], equivalents: Equivalents): Judged {
  const alive = results.filter((it) => it.status === 'survived' || it.status === 'not covered');
  const isSame = (result: Result, it: Equivalent) =>
    it.line === result.line && it.from === result.from && it.to === result.to;
  const isEquivalent = (result: Result) => equivalents[result.file]?.some((it) => isSame(result, it)) ?? false;
  const files = new Set(results.map((it) => it.file));
  return {
    equivalent: alive.filter(isEquivalent),
    survivors: alive.filter((it) => !isEquivalent(it)),
    stale: Object.entries(equivalents).flatMap(([file, entries]) =>
      entries.filter((it) => files.has(file) && !alive.some((result) => result.file === file && isSame(result, it))),
    ),
  };
}
