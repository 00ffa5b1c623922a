import type { Context, Middleware } from 'koa';
import rateLimit from 'koa-ratelimit';
import type { RateLimit } from '../../config/config.ts';
import { networkOf } from '../../ip-network.ts';
import { Problem } from '../../problems.ts';
import { CappedMap, type Place, Quota } from './quotas.ts';
import type { SharedCounts } from './shared-counts.ts';

/** Max clients that each limit remembers. A new client then replaces the oldest one. */
const capacity = 20_000;

/** Requests per allowed post: room to correct what was refused. */
const requestsPerPost = 10;

/** Pages and scripts per client. A whole office may have one address. */
const pageLimit: RateLimit = { posts: 600, windowMs: 60_000 };

/** The limit for all clients together, unless a single client may do more. */
const everybody = { requests: 1000, windowMs: 10_000 };

/** Middleware to run before the request is read. Only the post limit reads a visitor's post that it refuses. */
export interface Limits {
  /** For routes that store nothing. */
  readonly requests: readonly Middleware[];
  /** For routes that store a message. */
  readonly posts: readonly Middleware[];
}

/**
 * Three limits: stored posts per client (`RATE_LIMIT`), requests per client, and requests from all clients. Decision 10
 * gives the reasons.
 *
 * @param keepTyped runs before the post limit, so that its page can show what was posted.
 * @param shared per-client counts shared by several servers. The limit for all clients is always per server.
 */
export function limitClients(limit: RateLimit | undefined, keepTyped: Middleware, shared?: SharedCounts): Limits {
  if (limit === undefined) return { requests: [], posts: [] };
  const requests = [limitRequests(limit, shared), limitEverybody(limit)];
  return { requests, posts: [...requests, keepTyped, limitPosts(limit, shared)] };
}

/** For pages and scripts: a limit of their own, so that visitors who look around can still post. Counted per server. */
export function limitPages(limit: RateLimit | undefined): readonly Middleware[] {
  if (limit === undefined) return [];
  const quota = new Quota(pageLimit, capacity);
  return [
    async (ctx, next) => {
      const place = quota.take(networkOf(ctx.state.clientAddress));
      if (!place.taken) refuse(ctx, 'pages', pageLimit, place);
      await next();
    },
  ];
}

function limitRequests({ posts, windowMs }: RateLimit, shared: SharedCounts | undefined): Middleware {
  const limit = { posts: posts * requestsPerPost, windowMs };
  const refuseRequest = (ctx: Context, leftMs: number) => refuse(ctx, 'requests', limit, { remaining: 0, leftMs });
  const countHere = countRequests(limit, refuseRequest);
  return async (ctx, next) => {
    const place = await shared?.take('all-requests', networkOf(ctx.state.clientAddress), limit);
    if (place === undefined) return await countHere(ctx, next);
    if (!place.taken) refuseRequest(ctx, place.leftMs);
    await next();
  };
}

/** Also limits crowds of clients that each stay below their limit, and clients that were replaced. */
function limitEverybody({ posts, windowMs }: RateLimit): Middleware {
  const maxOfOneClient = Math.ceil((posts * requestsPerPost * everybody.windowMs) / windowMs);
  const quota = new Quota({ posts: Math.max(everybody.requests, maxOfOneClient), windowMs: everybody.windowMs }, 1);
  return (ctx, next) => {
    const { taken, leftMs } = quota.take('everybody');
    if (taken) return next();
    setRetryAfter(ctx, leftMs);
    throw new Problem('rate-limited', `this server gets too many requests at the moment; ${tryAgain(leftMs)}`);
  };
}

type Refuse = (ctx: Context, leftMs: number) => never;

/** The library counts. We write the headers and the refusal: the library's headers contain fractions. */
function countRequests({ posts, windowMs }: RateLimit, refuseRequest: Refuse): Middleware {
  // Without this map the library would make a new one for each request, and so limit nothing.
  const counts = new CappedMap<string, { reset: number }>(capacity);
  const id = (ctx: Context) => networkOf(ctx.state.clientAddress);
  const count = rateLimit({ driver: 'memory', db: counts, disableHeader: true, max: posts, duration: windowMs, id });
  return async (ctx, next) => {
    let isWithin = false;
    await count(ctx, async () => {
      isWithin = true;
      await next();
    });
    if (isWithin) return;
    const endsAt = (counts.get(`limit:${id(ctx)}`)?.reset ?? 0) * 1000;
    refuseRequest(ctx, Math.max(0, endsAt - performance.timeOrigin - performance.now()));
  };
}

function limitPosts(limit: RateLimit, shared: SharedCounts | undefined): Middleware {
  const quota = new Quota(limit, capacity);
  return async (ctx, next) => {
    const client = networkOf(ctx.state.clientAddress);
    const place = (await shared?.take('posts', client, limit)) ?? quota.take(client);
    if (!place.taken) refuse(ctx, 'posts', limit, place);
    try {
      await next();
      // A repeat is not stored again.
      if (ctx.state.stored?.repeated) place.giveBack();
    } catch (error) {
      place.giveBack();
      throw error;
    } finally {
      setLimitHeaders(ctx, 'posts', limit, place);
    }
  };
}

type LimitName = 'posts' | 'requests' | 'pages';
type Left = Pick<Place, 'remaining' | 'leftMs'>;

function refuse(ctx: Context, name: LimitName, limit: RateLimit, left: Left): never {
  setLimitHeaders(ctx, name, limit, left);
  setRetryAfter(ctx, left.leftMs);
  const what = name === 'posts' ? 'messages' : 'requests';
  throw new Problem('rate-limited', `too many ${what} came from your address; ${tryAgain(left.leftMs)}`);
}

function tryAgain(leftMs: number): string {
  const seconds = secondsToWait(leftMs);
  if (seconds === 1) return 'please try again in a second';
  return `please try again in ${seconds <= 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`}`;
}

/** The fields of draft-ietf-httpapi-ratelimit-headers and the older `X-` fields, in whole seconds. */
function setLimitHeaders(
  ctx: Context,
  name: LimitName,
  { posts, windowMs }: RateLimit,
  { remaining, leftMs }: Left,
): void {
  ctx.set('RateLimit-Policy', `"${name}";q=${posts};w=${Math.ceil(windowMs / 1000)}`);
  ctx.set('RateLimit', `"${name}";r=${remaining};t=${Math.ceil(leftMs / 1000)}`);
  ctx.set('X-RateLimit-Limit', String(posts));
  ctx.set('X-RateLimit-Remaining', String(remaining));
  ctx.set('X-RateLimit-Reset', String(Math.ceil((Date.now() + leftMs) / 1000)));
}

function setRetryAfter(ctx: Context, leftMs: number): void {
  ctx.set('Retry-After', String(secondsToWait(leftMs)));
}

/** At least one, so that nobody tries again at once. */
export function secondsToWait(leftMs: number): number {
  return Math.max(1, Math.ceil(leftMs / 1000));
}
