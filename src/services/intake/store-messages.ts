import { requestPatience } from '../../database/orm.ts';
import { runStatement, runTogether, type Statement } from '../../database/statement.ts';
import { Problem } from '../../problems.ts';
import { isReceiptClash } from '../ids.ts';
import type { Scope } from '../scope.ts';
import { findRepeats, isRepeatBeingStored } from './find-repeats.ts';
import { bind, prepareRow, type Row } from './statement/store-rows.ts';
import { storeStatement } from './statement/store-statement.ts';
import { FormOutdated, type StoreResult, type Verdict } from './verdict.ts';

/** How long a repeat waits until the first post is stored, in milliseconds. */
const maxRepeatWaitMs = 5000;

/**
 * Stores messages with their senders and emails in one statement: all are committed when this returns, and none if it
 * throws.
 *
 * @param verdicts one at a time, if its form has a limit.
 * @param since when the first post arrived, by `performance.now()`. A repeat of a post that is still being stored waits for
 *   it, until five seconds after this.
 * @returns one result for each verdict, in the same order.
 * @throws {Problem} repeat-in-progress, form-closed
 */
export async function storeMessages(
  scope: Scope,
  verdicts: readonly Verdict[],
  since = performance.now(),
): Promise<StoreResult[]> {
  const limit = (verdicts[0] as Verdict).limit;
  let clashes = 0;
  for (;;) {
    const rows = verdicts.map((verdict, index) => prepareRow(scope, verdict, index + 1));
    try {
      const statement = storeStatement({
        captchas: rows.some((row) => row.captcha_id !== null),
        keys: rows.some((row) => row.key !== null),
        replies: rows.some((row) => row.replies.length > 0),
      });
      const stored = await (limit === undefined
        ? runStatement<StoredRow>(scope.em, statement, bind(rows))
        : runIfNotFull(scope, limit, statement, rows));
      const results = await answerAll(scope, rows, new Map(stored.map((it) => [it.n, it])));
      // These repeated something that was gone a moment later: a key became a day old, or a message was deleted. They are
      // not stored, so try again.
      const unexplained = results.flatMap((result, index) => (result === undefined ? [index] : []));
      if (unexplained.length === 0) return results as StoreResult[];
      const again = await storeMessages(
        scope,
        unexplained.map((index) => verdicts[index] as Verdict),
        since,
      );
      return results.map((result, index) => result ?? (again[unexplained.indexOf(index)] as StoreResult));
    } catch (error) {
      if (error === limit?.whenFull) {
        const [repeat] = await findRepeats(scope, rows);
        if (repeat === undefined) throw error;
        return [repeat];
      }
      if (isReceiptClash(error) && ++clashes < 3) continue;
      // With several posts, we cannot know which one waits. `store-batches.ts` then stores them one by one.
      if (!isLockTimeout(error) || rows.length > 1 || !(await isRepeatBeingStored(scope, rows))) throw error;
      if (performance.now() - since + requestPatience.lockMs > maxRepeatWaitMs) {
        throw new Problem('repeat-in-progress', 'the first of these posts is still being stored', { cause: error });
      }
    }
  }
}

/** First number of the locks of forms. Two forms may share a lock, which costs only time. Any constant number would do. */
const formLock = 7_226_950;

const lockForm: Statement = { name: 'lock_form_1', text: `select pg_advisory_xact_lock(${formLock}, hashtext($1))` };

// In the order of an index, or PostgreSQL may look for a few rows in the whole table.
const countMessages: Statement = {
  name: 'is_form_full_1',
  text: 'select count(*) >= $2::int as is_full from (select from messages where form_id = $1 order by id limit $2) as counted',
};

/**
 * Runs the storing statement for one post, unless its form is full. The form's lock comes before all other locks, and a
 * transaction takes one such lock, so it cannot deadlock. The next statement sees the messages of those who had it before.
 */
async function runIfNotFull(
  scope: Scope,
  { messages, whenFull }: NonNullable<Verdict['limit']>,
  statement: Statement,
  rows: readonly Row[],
): Promise<StoredRow[]> {
  const stored = await runTogether(scope.em, async (ask) => {
    const { form_id: formId } = rows[0] as Row;
    await ask(lockForm, [formId]);
    const [form] = (await ask(countMessages, [formId, messages])) as [{ is_full: boolean }];
    return form.is_full ? undefined : await ask<StoredRow>(statement, bind(rows));
  });
  if (stored === undefined) throw whenFull;
  return stored;
}

/** The statement's answer for one row; `received_ms` is null if it was not stored. */
interface StoredRow {
  n: number;
  is_current: boolean;
  received_ms: number | null;
}

/**
 * A row was not stored for one of two reasons: it repeats an earlier post (return that post's answer), or its form
 * changed after it was judged.
 */
async function answerAll(
  scope: Scope,
  rows: readonly Row[],
  stored: ReadonlyMap<number, StoredRow>,
): Promise<(StoreResult | undefined)[]> {
  // The statement returns a row for each post.
  const answered = (row: Row) => stored.get(row.n) as StoredRow;
  const lost = rows.filter((row) => answered(row).received_ms === null && answered(row).is_current);
  const first = lost.length === 0 ? [] : await findRepeats(scope, lost);
  return rows.map((row) => {
    const { received_ms: at, is_current: isCurrent } = answered(row);
    if (at !== null)
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
