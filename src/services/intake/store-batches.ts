import type { Context } from '../../context.ts';
import { requestPatience } from '../../database/orm.ts';
import { isOutage, TooSlow } from '../../database/outage.ts';
import { openScope, type Scope } from '../scope.ts';
import { storeMessages } from './store-messages.ts';
import type { StoreResult, Verdict } from './verdict.ts';

export interface BatchLimits {
  /** Statements at the same time. While one waits for the disk, PostgreSQL works on the next. */
  maxInFlight: number;
  /** Posts in one statement. */
  maxPosts: number;
  /** Posts that wait for a statement. Further ones are refused, so that they cannot fill the memory. */
  maxWaiting: number;
}

const defaultLimits: BatchLimits = { maxInFlight: 2, maxPosts: 200, maxWaiting: 2000 };

/** For a form with a limit. Its posts wait for each other here, so that they take one connection. */
export const oneByOne: BatchLimits = { ...defaultLimits, maxInFlight: 1, maxPosts: 1 };

/** Max wait until a post's statement starts, in milliseconds. Together with the statement it must stay below five seconds. */
const maxWaitMs = 1500;

/** Max time until a post is answered, in milliseconds, even if its statement never ends. */
const maxAnswerMs = 4800;

/** Max age of a post when it starts to be stored alone; it may have to wait for a lock on top of that. */
const maxAgeToStartAloneMs = maxAnswerMs - requestPatience.lockMs;

/** How often we look for posts that have waited too long, in milliseconds. */
const checkEveryMs = 100;

/** How many posts of a failed statement are stored at the same time, each alone. */
const maxAlone = 4;

/** Stores the posts of many visitors together. */
export interface StoreBatches extends AsyncDisposable {
  /** Resolves after the commit. @throws {TooSlow} or the error that storing this post alone would throw. */
  store(verdict: Verdict): Promise<StoreResult>;
}

interface Post {
  readonly verdict: Verdict;
  readonly since: number;
  isStarted: boolean;
  resolve(result: StoreResult): void;
  reject(error: unknown): void;
}

/**
 * Natural batching: posts that arrive while a statement runs share the next one. A single post is stored at once, and the
 * more posts arrive, the more share one commit.
 *
 * Posts must not harm each other. If a statement fails because of its contents, each of its posts is stored alone, so
 * that only the bad one fails. If the database is away, all of them fail.
 *
 * Disposing waits until every post has its answer.
 */
export function openStoreBatches(context: Context, limits: BatchLimits = defaultLimits): StoreBatches {
  const scope = openScope(context);
  const queue: Post[] = [];
  const open = watchOpenPosts(queue);
  const inFlight = new Set<Promise<void>>();

  function store(verdict: Verdict): Promise<StoreResult> {
    return new Promise((resolve, reject) => {
      if (queue.length >= limits.maxWaiting) return reject(new TooSlow('too many posts wait for the database'));
      const answer =
        <T>(give: (value: T) => void) =>
        (value: T) => {
          open.remove(post);
          give(value);
        };
      const since = performance.now();
      const post: Post = { verdict, since, isStarted: false, resolve: answer(resolve), reject: answer(reject) };
      open.add(post);
      queue.push(post);
      // Posts that arrive in the same turn of the event loop share one statement.
      setImmediate(startBatches);
    });
  }

  function startBatches(): void {
    while (queue.length > 0 && inFlight.size < limits.maxInFlight) {
      const posts = queue.splice(0, limits.maxPosts);
      for (const post of posts) post.isStarted = true;
      const batch = storeTogether(scope, posts).finally(() => {
        inFlight.delete(batch);
        startBatches();
      });
      inFlight.add(batch);
    }
  }

  return {
    store,
    async [Symbol.asyncDispose]() {
      startBatches();
      while (inFlight.size > 0) await Promise.all(inFlight);
    },
  };
}

/** Refuses posts that have waited for too long. @param queue posts that were not started, in the order of arrival. */
function watchOpenPosts(queue: Post[]) {
  /** All posts without an answer, in the order of arrival: the first are in flight, the others are in the queue. */
  const open = new Set<Post>();
  let timer: NodeJS.Timeout | undefined;

  function refuseLate(): void {
    const now = performance.now();
    for (const post of open) {
      const waited = now - post.since;
      if (waited < maxWaitMs) return;
      if (post.isStarted && waited < maxAnswerMs) continue;
      if (!post.isStarted) queue.shift();
      post.reject(tooSlow());
    }
  }

  return {
    add(post: Post): void {
      open.add(post);
      timer ??= setInterval(refuseLate, checkEveryMs);
    },
    remove(post: Post): void {
      open.delete(post);
      if (open.size > 0) return;
      clearInterval(timer);
      timer = undefined;
    },
  };
}

/** Never throws: each post gets its result or the error. */
async function storeTogether(scope: Scope, posts: readonly Post[]): Promise<void> {
  try {
    const results = await storeMessages(
      scope,
      posts.map((it) => it.verdict),
      (posts[0] as Post).since,
    );
    // `storeMessages` returns one result for each verdict.
    for (const [index, post] of posts.entries()) post.resolve(results[index] as StoreResult);
  } catch (error) {
    if (posts.length > 1 && isAboutItsPosts(error)) return await storeAlone(scope, posts);
    for (const post of posts) post.reject(error);
  }
}

async function storeAlone(scope: Scope, posts: readonly Post[]): Promise<void> {
  const left = [...posts];
  const storeNext = async () => {
    for (let post = left.shift(); post !== undefined; post = left.shift()) {
      if (performance.now() - post.since > maxAgeToStartAloneMs) post.reject(tooSlow());
      else await storeTogether(scope, [post]);
    }
  };
  await Promise.all(Array.from({ length: maxAlone }, storeNext));
}

/**
 * A lock timeout, a statement timeout or a deadlock can be caused by one of the posts. Every other outage affects all of
 * them. If the database is slow for everybody, only a few posts are stored alone before their time is over.
 */
function isAboutItsPosts(error: unknown): boolean {
  return !isOutage(error) || ['55P03', '57014', '40P01', '40001'].includes((error as { code?: string }).code ?? '');
}

function tooSlow(): TooSlow {
  return new TooSlow('the database takes too long');
}
