import { runStatement, type Statement } from '../database/statement.ts';
import { type EmailKind, emailKinds } from '../entities/index.ts';
import { beforeAllIds } from './paging.ts';
import type { Scope } from './scope.ts';

/** So many that a look takes some ten milliseconds, and two million are counted by forty of them. */
const atOnceUsually = 50_000;

const sentStatement: Statement = {
  name: 'count_sent_1',
  text: `
with next as (select kind, id from emails where state = 'sent' and id > $1::uuid order by id limit $2::int)
select kind, count(*)::int as count, max(id::text) as last from next group by kind`,
};

/**
 * Counts the emails that were sent, which become ever more: each look goes on where the one before it ended, so that it
 * costs the same however many there are, and tells what they were when the last one came to the end.
 */
export interface SentCount {
  /** @returns by kind; nothing before they were counted once. */
  look(scope: Pick<Scope, 'em'>): Promise<ReadonlyMap<EmailKind, number> | undefined>;
}

export function openSentCount(atOnce = atOnceUsually): SentCount {
  let after = beforeAllIds;
  let counting = none();
  let counted: ReadonlyMap<EmailKind, number> | undefined;
  return {
    async look({ em }) {
      const rows = await runStatement<{ kind: EmailKind; count: number; last: string }>(em, sentStatement, [
        after,
        atOnce,
      ]);
      for (const { kind, count, last } of rows) {
        counting.set(kind, (counting.get(kind) ?? 0) + count);
        if (last > after) after = last;
      }
      if (rows.reduce((sum, it) => sum + it.count, 0) < atOnce) {
        counted = counting;
        counting = none();
        after = beforeAllIds;
      }
      return counted;
    },
  };
}

function none(): Map<EmailKind, number> {
  return new Map(emailKinds.map((kind) => [kind, 0]));
}
