import { type Noticed, type Row, rowOf } from '../fault.ts';
import type { VisitLine } from '../ledgers/load.ts';
import type { World } from '../world.ts';
import type { Facts, Violation } from './oracle.ts';

/** The contract: while the database cannot commit, a visitor has the answer 503 within this time. */
const maxAnswerMs = 5000;

/** The visitors share the machine with everything that is broken: their clock is no better than this. */
const toleranceMs = 250;

/** As `rowOf`, for a fault of the database alone: the server runs all the time, so every visitor gets an answer in time. */
export async function rowWithAnswers(
  world: World,
  cycles: number,
  { note, noticed }: { note?: string; noticed?: Noticed | undefined } = {},
  adjust?: (facts: Facts) => Facts,
): Promise<Row> {
  const row = await rowOf(world, cycles, { noticed }, adjust);
  const { slowestMs, statuses, violations } = judgeAnswers(world.load.ledger.read());
  const refused = statuses.get(503) ?? 0;
  const answers = `${refused} answers 503; the slowest answer took ${(slowestMs / 1000).toFixed(1)} s.`;
  return { ...row, violations: [...row.violations, ...violations], note: `${note ? `${note} ` : ''}${answers}` };
}

/**
 * What visitors were answered since the server first took a post, and which answers are none, late, or another error
 * than 503. Pure.
 */
export function judgeAnswers(visits: readonly VisitLine[]): {
  slowestMs: number;
  statuses: ReadonlyMap<number | 'none', number>;
  violations: Violation[];
} {
  const sentAt = new Map<string, number>();
  const statuses = new Map<number | 'none', number>();
  const violations: Violation[] = [];
  let slowestMs = 0;
  const beginning = visits.find((it) => it.answer === 201)?.at ?? 0;
  for (const { key, answer, at, why } of visits) {
    if (answer === 'sent') {
      sentAt.set(key, at);
      continue;
    }
    const since = sentAt.get(key) ?? at;
    if (since < beginning) continue;
    const tookMs = at - since;
    slowestMs = Math.max(slowestMs, tookMs);
    statuses.set(answer, (statuses.get(answer) ?? 0) + 1);
    const isHonest = answer !== 'none' && (answer < 500 || answer === 503);
    if (!isHonest || tookMs > maxAnswerMs + toleranceMs) {
      violations.push({ invariant: 'honest answers', what: `${key}: ${answer} after ${tookMs} ms ${why ?? ''}` });
    }
  }
  return { slowestMs, statuses, violations };
}
