import { Problem, type ProblemCode } from '../../problems.ts';
import type { Deps } from '../terminal/deps.ts';
import type { Output } from '../terminal/output.ts';
import { exitCode } from './exit-codes.ts';

/** What became of one of several things that a command was given. */
export interface Done<Result> {
  /** What was done, or null where it was refused. */
  result: Result | null;
  code: ProblemCode | null;
  /** Why not. */
  reason: string | null;
}

/**
 * Does the same to each, one after the other. A refusal is noted and the next one is gone on to; where `stop` is
 * aborted, the rest are left alone and not in the list.
 */
export async function doToEach<Result>(
  all: readonly string[],
  stop: AbortSignal,
  act: (which: string) => Promise<Result>,
): Promise<(Done<Result> & { which: string })[]> {
  const done: (Done<Result> & { which: string })[] = [];
  for (const which of new Set(all)) {
    if (stop.aborted) break;
    try {
      done.push({ which, result: await act(which), code: null, reason: null });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      done.push({ which, result: null, code: error.code, reason: error.message });
    }
  }
  return done;
}

export function setExitCodeOf(deps: Deps, done: readonly Done<unknown>[], stop: AbortSignal): void {
  if (stop.aborted) deps.setExitCode(exitCode.interrupted);
  else if (done.some((it) => it.code !== null)) deps.setExitCode(exitCode.refused);
}

/** A table with a line for each. */
export function printDone<Result>(
  output: Output,
  done: readonly (Done<Result> & { which: string })[],
  header: string,
  nameOf: (result: Result) => string,
  wordOf: (result: Result) => string,
): void {
  const { style } = output;
  const refused = done.some((it) => it.reason !== null);
  output.printTable(done, [
    { header, text: (it) => (it.result === null ? it.which : nameOf(it.result)) },
    {
      header: 'RESULT',
      text: (it) => (it.result === null ? 'refused' : wordOf(it.result)),
      style: (text, it) => (it.result === null ? style.bad(text) : style.good(text)),
    },
    ...(refused ? [{ header: 'WHY', text: (it: Done<Result>) => it.reason ?? '', least: 16 }] : []),
  ]);
}
