import type { Context } from '../../context.ts';
import { requestPatience } from '../../database/orm.ts';
import { isOutage, TooSlow } from '../../database/outage.ts';
import { openScope } from '../scope.ts';
import { storeMessages } from './store-messages.ts';
import type { StoreResult, Verdict } from './verdict.ts';

export interface BatchLimits {
  /** Statements at the same time: while one waits for the disk, PostgreSQL works on the next. */
  maxInFlight: number;
  /** Posts in one statement. */
  maxPosts: number;
  /** Posts that wait for a statement. Further ones are refused, so that they cannot pile up in memory. */
  maxWaiting: number;
}

const defaultLimits: BatchLimits = { maxInFlight: 2, maxPosts: 200, maxWaiting: 2000 };

/** Max wait until a post's statement starts, in milliseconds. Together with the statement it must stay below five seconds. */
const maxWaitMs = 1500;

/** Max time until a post is answered, in milliseconds, even if its statement never ends. */
const maxAnswerMs = 4800;

/** Max age of a post when it starts to be stored alone; it may have to wait for a lock on top of that. */
const maxAgeToStartAloneMs = maxAnswerMs - requestPatience.lockMs;

/** How often we look for posts that have waited too long, in milliseconds. */
const checkEveryMs = 100;

/** After a statement failed: how many of its posts are stored alone at the same time. */
const maxAlone = 4;

/** Stores posts of many visitors together. */
export interface StoreBatches extends AsyncDisposable {
  /** Resolves after the commit. @throws what storing this post alone would throw, or TooSlow. */
  store(verdict: Verdict): Promise<StoreResult>;
}

interface Waiting {
  readonly verdict: Verdict;
  readonly since: number;
  isStarted: boolean;
  resolve(result: StoreResult): void;
  reject(error: unknown): void;
}

/**
 * Natural batching. Posts gather while a statement runs; when it returns, all of them go into the next one. There is
 * no timer: a single post is stored at once, and the more posts arrive, the more share one commit.
 *
 * Posts must not harm each other. If a statement fails because of its contents, each of its posts is stored alone, so
 * that only the bad one fails. If the database is away, all of them fail.
 *
 * Disposing waits until every post has its answer.
 */
export function openStoreBatches(context: Context, limits: BatchLimits = defaultLimits): StoreBatches {
  /** All posts without an answer, in the order of arrival: the first ones are in flight, the others wait. */
  const open = new Set<Waiting>();
  const queue: Waiting[] = [];
  const inFlight = new Set<Promise<void>>();
  const scope = openScope(context);
  let timer: NodeJS.Timeout | undefined;

  function store(verdict: Verdict): Promise<StoreResult> {
    return new Promise((resolve, reject) => {
      if (queue.length >= limits.maxWaiting) return reject(new TooSlow('too many posts wait for the database'));
      const waiting: Waiting = { verdict, since: performance.now(), isStarted: false, resolve, reject };
      open.add(waiting);
      queue.push(waiting);
      timer ??= setInterval(refuseLate, checkEveryMs);
      // Posts that arrive in the same turn of the event loop share one statement.
      if (queue.length === 1) setImmediate(startBatches);
    });
  }

  function startBatches(): void {
    while (queue.length > 0 && inFlight.size < limits.maxInFlight) {
      const taken = queue.splice(0, limits.maxPosts);
      for (const it of taken) it.isStarted = true;
      const batch = storeTogether(taken).finally(() => {
        inFlight.delete(batch);
        startBatches();
      });
      inFlight.add(batch);
    }
  }

  /** Never throws. */
  async function storeTogether(batch: readonly Waiting[]): Promise<void> {
    try {
      const results = await storeMessages(
        scope,
        batch.map((it) => it.verdict),
        batch[0]?.since,
      );
      // `storeMessages` returns one result for each verdict.
      for (const [index, it] of batch.entries()) settle(it, () => it.resolve(results[index] as StoreResult));
    } catch (error) {
      if (batch.length > 1 && isAboutItsPosts(error)) return await storeAlone(batch);
      for (const it of batch) settle(it, () => it.reject(error));
    }
  }

  async function storeAlone(batch: readonly Waiting[]): Promise<void> {
    const left = [...batch];
    const storeNext = async () => {
      for (let it = left.shift(); it !== undefined; it = left.shift()) {
        const post = it;
        if (performance.now() - post.since > maxAgeToStartAloneMs) settle(post, () => post.reject(tooSlow()));
        else
          await storeMessages(scope, [post.verdict], post.since).then(
            ([result]) => settle(post, () => post.resolve(result as StoreResult)),
            (error: unknown) => settle(post, () => post.reject(error)),
          );
      }
    };
    await Promise.all(Array.from({ length: maxAlone }, storeNext));
  }

  function refuseLate(): void {
    const now = performance.now();
    for (const it of open) {
      const waited = now - it.since;
      if (waited < maxWaitMs) return;
      if (it.isStarted && waited < maxAnswerMs) continue;
      if (!it.isStarted) queue.shift();
      settle(it, () => it.reject(tooSlow()));
    }
  }

  function settle(it: Waiting, answer: () => void): void {
    open.delete(it);
    if (open.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
    answer();
  }

  return {
    store,
    async [Symbol.asyncDispose]() {
      startBatches();
      while (inFlight.size > 0) await Promise.all(inFlight);
    },
  };
}

/**
 * One post alone can be the reason for a lock timeout, a statement timeout or a deadlock. Every other outage concerns all
 * posts. If the database is slow for everybody, only a few posts are stored alone before their time is over.
 */
function isAboutItsPosts(error: unknown): boolean {
  return !isOutage(error) || ['55P03', '57014', '40P01', '40001'].includes((error as { code?: string }).code ?? '');
}

function tooSlow(): TooSlow {
  return new TooSlow('the database takes too long');
}
