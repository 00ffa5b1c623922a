import { requestPatience } from '../../database/orm.ts';
import { runStatement } from '../../database/statement.ts';
import { Problem } from '../../problems.ts';
import { isReceiptClash } from '../ids.ts';
import type { Scope } from '../scope.ts';
import { findRepeats, isRepeatBeingStored } from './find-repeats.ts';
import { bind, prepareRow, type Row } from './store-rows.ts';
import { storeStatement } from './store-statement.ts';
import { FormOutdated, type StoreResult, type Verdict } from './verdict.ts';

/** How long a repeat waits for the first to be stored, in milliseconds. */
const repeatWaitMs = 5000;

/**
 * Stores messages, each with its sender (found or new) and its emails, in one statement and so in one
 * transaction: when this returns they are all committed, and where it throws none is.
 *
 * @param since when the first of them arrived, on the clock of `performance.now()`: a repeat that finds its first one
 *   still being stored waits for it no longer than five seconds from then.
 * @returns one result for each verdict, in their order.
 * @throws {Problem} repeat-in-progress
 */
export async function storeMessages(
  scope: Scope,
  verdicts: readonly Verdict[],
  since = performance.now(),
): Promise<StoreResult[]> {
  let clashes = 0;
  for (;;) {
    const rows = verdicts.map((verdict, index) => prepareRow(scope, verdict, index + 1));
    try {
      const told = await runStatement<ToldRow>(scope.em, storeStatement, bind(rows));
      const results = await answerAll(scope, rows, new Map(told.map((it) => [it.n, it])));
      // Lost against something that was gone a moment later (a key that became a day old, a message that was
      // deleted): nobody has it, so it is stored now.
      const unexplained = results.flatMap((result, index) => (result === undefined ? [index] : []));
      if (unexplained.length === 0) return results as StoreResult[];
      const again = await storeMessages(
        scope,
        unexplained.map((index) => verdicts[index] as Verdict),
        since,
      );
      return results.map((result, index) => result ?? (again[unexplained.indexOf(index)] as StoreResult));
    } catch (error) {
      if (isReceiptClash(error) && ++clashes < 3) continue;
      // Of several it is not known which one waits; whoever put them together stores them one by one.
      if (!isLockTimeout(error) || rows.length > 1 || !(await isRepeatBeingStored(scope, rows))) throw error;
      if (performance.now() - since + requestPatience.lockMs > repeatWaitMs) {
        throw new Problem('repeat-in-progress', 'the first of these posts is still being stored', { cause: error });
      }
    }
  }
}

/** What the statement says of a row: when it was stored, or null. */
interface ToldRow {
  n: number;
  is_current: boolean;
  received_ms: number | null;
}

/** Rows that were not stored lost against another one, what did that get?, or the form is another one by now. */
async function answerAll(
  scope: Scope,
  rows: readonly Row[],
  told: ReadonlyMap<number, ToldRow>,
): Promise<(StoreResult | undefined)[]> {
  const lost = rows.filter((row) => told.get(row.n)?.received_ms == null && told.get(row.n)?.is_current);
  const first = lost.length === 0 ? [] : await findRepeats(scope, lost);
  return rows.map((row) => {
    const { received_ms: at, is_current: isCurrent } = told.get(row.n) ?? {};
    if (at != null)
      return { stored: { id: row.message_id, receipt: row.receipt, receivedAt: new Date(at) }, repeated: false };
    if (!isCurrent) return { refused: new FormOutdated('the form was changed in the meantime') };
    const answer = first[lost.indexOf(row)];
    if (answer !== undefined || row.captcha_id === null) return answer;
    return { refused: new Problem('captcha-wrong', 'this captcha was used before') };
  });
}

function isLockTimeout(error: unknown): boolean {
  return (error as { code?: unknown }).code === '55P03';
}
