import type { Context } from '../../context.ts';
import { requestPatience } from '../../database/orm.ts';
import { isOutage, TooSlow } from '../../database/outage.ts';
import { openScope } from '../scope.ts';
import { storeMessages } from './store-messages.ts';
import type { StoreResult, Verdict } from './verdict.ts';

export interface BatchLimits {
  /** Statements on their way at the same time: while one waits for the disk, the next is being worked on. */
  flights: number;
  /** Posts in one statement. */
  posts: number;
  /** Posts that wait for a statement; more are refused, so that they cannot pile up in memory. */
  waiting: number;
}

const usualLimits: BatchLimits = { flights: 2, posts: 200, waiting: 2000 };

/** How long a post waits for its statement to begin, in milliseconds. With what the statement itself may take: below five seconds. */
const waitAtMostMs = 1500;

/** When a post is answered at the latest, in milliseconds after it came: also where its statement does not end. */
const answerWithinMs = 4800;

/** When a post may begin to be stored alone at the latest: what it may have to wait for then comes on top. */
const beginAloneMs = answerWithinMs - requestPatience.lockMs;

/** How often it is looked for posts that have waited too long, in milliseconds. */
const lookEveryMs = 100;

/** After a statement failed for one of its posts: how many are tried alone at the same time. */
const aloneAtOnce = 4;

/** Stores posts of many visitors together. */
export interface StoreBatches extends AsyncDisposable {
  /** Resolves after the commit. @throws whatever storing this very post alone would throw, or TooSlow. */
  store(verdict: Verdict): Promise<StoreResult>;
}

interface Waiting {
  readonly verdict: Verdict;
  readonly since: number;
  begun: boolean;
  resolve(result: StoreResult): void;
  reject(error: unknown): void;
}

/**
 * Natural batching. While a statement is on its way, posts gather; when it is back, all that have come by then go in
 * the next one. So nobody waits for company: a post that comes alone leaves alone, at once, and the more come the more
 * share one commit.
 *
 * A post's company is not its fate. Where a statement fails for a reason that lies in what it carried, each of its
 * posts is stored again by itself, so that one bad one fails alone. Where the database is away, all are told so.
 *
 * Disposing waits until every post that was taken has its answer.
 */
export function openStoreBatches(context: Context, limits: BatchLimits = usualLimits): StoreBatches {
  /** All that have no answer yet, in the order in which they came: the first ones are on their way, the others wait. */
  const open = new Set<Waiting>();
  const queue: Waiting[] = [];
  const flights = new Set<Promise<void>>();
  const scope = openScope(context);
  let look: NodeJS.Timeout | undefined;

  function store(verdict: Verdict): Promise<StoreResult> {
    return new Promise((resolve, reject) => {
      if (queue.length >= limits.waiting) return reject(new TooSlow('too many posts wait for the database'));
      const waiting: Waiting = { verdict, since: performance.now(), begun: false, resolve, reject };
      open.add(waiting);
      queue.push(waiting);
      look ??= setInterval(refuseLate, lookEveryMs);
      // What arrives in the same turn of the event loop leaves in one statement.
      if (queue.length === 1) setImmediate(depart);
    });
  }

  function depart(): void {
    while (queue.length > 0 && flights.size < limits.flights) {
      const batch = queue.splice(0, limits.posts);
      for (const it of batch) it.begun = true;
      const flight = fly(batch).finally(() => {
        flights.delete(flight);
        depart();
      });
      flights.add(flight);
    }
  }

  /** Never throws. */
  async function fly(batch: readonly Waiting[]): Promise<void> {
    try {
      const results = await storeMessages(
        scope,
        batch.map((it) => it.verdict),
        batch[0]?.since,
      );
      // One verdict in, one result out: `storeMessages` promises it.
      for (const [index, it] of batch.entries()) settle(it, () => it.resolve(results[index] as StoreResult));
    } catch (error) {
      if (batch.length > 1 && liesInWhatItCarried(error)) return await flyAlone(batch);
      for (const it of batch) settle(it, () => it.reject(error));
    }
  }

  async function flyAlone(batch: readonly Waiting[]): Promise<void> {
    const left = [...batch];
    const takeTurns = async () => {
      for (let it = left.shift(); it !== undefined; it = left.shift()) {
        const post = it;
        if (performance.now() - post.since > beginAloneMs) settle(post, () => post.reject(tooSlow()));
        else
          await storeMessages(scope, [post.verdict], post.since).then(
            ([result]) => settle(post, () => post.resolve(result as StoreResult)),
            (error: unknown) => settle(post, () => post.reject(error)),
          );
      }
    };
    await Promise.all(Array.from({ length: aloneAtOnce }, takeTurns));
  }

  function refuseLate(): void {
    const now = performance.now();
    for (const it of open) {
      const waited = now - it.since;
      if (waited < waitAtMostMs) return;
      if (it.begun && waited < answerWithinMs) continue;
      if (!it.begun) queue.shift();
      settle(it, () => it.reject(tooSlow()));
    }
  }

  function settle(it: Waiting, answer: () => void): void {
    open.delete(it);
    if (open.size === 0) {
      clearInterval(look);
      look = undefined;
    }
    answer();
  }

  return {
    store,
    async [Symbol.asyncDispose]() {
      depart();
      while (flights.size > 0) await Promise.all(flights);
    },
  };
}

/**
 * A lock may be held for one post alone, a statement may take too long for what one of them needs, and a deadlock be with
 * what one of them needs; every other outage meets all of them. Where the database is slow for everybody, few are tried
 * alone before their time is over.
 */
function liesInWhatItCarried(error: unknown): boolean {
  return !isOutage(error) || ['55P03', '57014', '40P01', '40001'].includes((error as { code?: string }).code ?? '');
}

function tooSlow(): TooSlow {
  return new TooSlow('the database takes too long');
}
