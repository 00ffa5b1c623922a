import type { Deps } from '../terminal/deps.ts';
import type { Output } from '../terminal/output.ts';
import type { Column } from '../terminal/table.ts';
import { exitCode } from './exit-codes.ts';

/** What happened to one of several things that a command was given. */
export interface Result {
  /** A word with hyphens, such as `already-held`. */
  result: string;
  /** Null unless it was refused. */
  code: string | null;
  reason: string | null;
}

/** `refused` is what a mail server says. */
export function wordResult({ result }: Result): string {
  return result === 'refused' ? 'unchanged' : result.replaceAll('-', ' ');
}

export function resultColumn<Row extends Result>(
  { style }: Output,
  wordOf: (row: Row) => string = wordResult,
): Column<Row> {
  return {
    header: 'RESULT',
    text: wordOf,
    style: (text, row) => {
      if (row.code !== null) return style.bad(text);
      return row.result === 'skipped' || row.result === 'already-queued' ? style.dim(text) : style.good(text);
    },
  };
}

/** No column if there is no reason to show. */
export function reasonColumn<Row extends Result>(rows: readonly Row[], minWidth = 16): Column<Row>[] {
  if (rows.every((it) => it.reason === null)) return [];
  return [{ header: 'WHY', text: (it) => it.reason ?? '', minWidth }];
}

/** Exits 130 if the command was stopped, and 1 if something was refused. */
export function setExitCode(deps: Deps, stop: AbortSignal, isRefused = false): void {
  if (stop.aborted) deps.setExitCode(exitCode.interrupted);
  else if (isRefused) deps.setExitCode(exitCode.refused);
}
