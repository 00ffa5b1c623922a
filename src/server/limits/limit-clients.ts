import type { Context, Middleware } from 'koa';
import rateLimit from 'koa-ratelimit';
import type { RateLimit } from '../../config/config.ts';
import { networkOf } from '../../ip-network.ts';
import { Problem } from '../../problems.ts';
import { CappedMap, Quota } from './quotas.ts';
import type { SharedCounts } from './shared-counts.ts';

/** How many clients are remembered for each limit; the one that came first is forgotten for a further one. */
const capacity = 20_000;

/** Requests that one client may make for each post that it may have stored: room to correct what was refused. */
const requestsPerPost = 10;

/** What all clients together may ask for; more only where a single one may. */
const everybody = { requests: 1000, windowMs: 10_000 };

/** One limit as it stands for this client. */
interface Standing {
  name: 'posts' | 'requests';
  quota: number;
  windowMs: number;
  remaining: number;
  leftMs: number;
}

/** Middlewares, to stand before anything is read of a request; past the limit of posts alone a visitor's is read. */
export interface Limits {
  /** For what is answered without storing anything. */
  readonly requests: readonly Middleware[];
  /** For what stores a message. */
  readonly posts: readonly Middleware[];
}

/**
 * Three limits: for what one client has had stored (the configured one), for what one client asks at all, and
 * for what all ask together; the decision about rate limits says why.
 *
 * @param keepTyped runs before the limit of posts, so that the page about that limit can show what was posted.
 * @param shared where several servers count a client together; what all ask each of them counts for itself.
 */
export function limitClients(limit: RateLimit | undefined, keepTyped: Middleware, shared?: SharedCounts): Limits {
  if (limit === undefined) return { requests: [], posts: [] };
  const requests = [limitRequests(limit, shared), limitEverybody(limit)];
  return { requests, posts: [...requests, keepTyped, limitPosts(limit, shared)] };
}

function limitRequests({ posts, windowMs }: RateLimit, shared: SharedCounts | undefined): Middleware {
  const quota = posts * requestsPerPost;
  const refuseFor = (ctx: Context, leftMs: number) =>
    refuse(ctx, { name: 'requests', quota, windowMs, remaining: 0, leftMs });
  const countHere = countRequests(quota, windowMs, refuseFor);
  const countTogether = shared?.requestCounter({ posts: quota, windowMs });
  if (countTogether === undefined) return countHere;
  return async (ctx, next) => {
    const leftMs = await countTogether(networkOf(ctx.state.clientAddress));
    if (leftMs === undefined) return await countHere(ctx, next);
    if (leftMs > 0) refuseFor(ctx, leftMs);
    await next();
  };
}

/** Forgetting clients forgives them, and a crowd of addresses is no client: this one nobody gets around. */
function limitEverybody({ posts, windowMs }: RateLimit): Middleware {
  const ofOne = Math.ceil((posts * requestsPerPost * everybody.windowMs) / windowMs);
  const quota = new Quota({ posts: Math.max(everybody.requests, ofOne), windowMs: everybody.windowMs }, 1);
  return (ctx, next) => {
    const { taken, leftMs } = quota.take('everybody');
    if (taken) return next();
    setRetryAfter(ctx, leftMs);
    throw new Problem('rate-limited', `this server is asked too much at the moment; ${tryAgain(leftMs)}`);
  };
}

/** The library counts; its own headers have fractions and its own refusal is a text. */
function countRequests(max: number, duration: number, refuseFor: (ctx: Context, leftMs: number) => never): Middleware {
  // Without a map of ours the library would make one for each request, and so limit nothing.
  const counts = new CappedMap<string, { reset: number }>(capacity);
  const id = (ctx: Context) => networkOf(ctx.state.clientAddress);
  const count = rateLimit({ driver: 'memory', db: counts, disableHeader: true, max, duration, id });
  return async (ctx, next) => {
    let isWithin = false;
    await count(ctx, async () => {
      isWithin = true;
      await next();
    });
    if (isWithin) return;
    const endsAt = (counts.get(`limit:${id(ctx)}`)?.reset ?? 0) * 1000;
    refuseFor(ctx, Math.max(0, endsAt - performance.timeOrigin - performance.now()));
  };
}

function limitPosts(limit: RateLimit, shared: SharedCounts | undefined): Middleware {
  const quota = new Quota(limit, capacity);
  return async (ctx, next) => {
    const client = networkOf(ctx.state.clientAddress);
    const place = (shared && (await shared.take('posts', client, limit))) ?? quota.take(client);
    const standing = (): Standing => ({
      name: 'posts',
      quota: limit.posts,
      windowMs: limit.windowMs,
      remaining: place.remaining,
      leftMs: place.leftMs,
    });
    if (!place.taken) refuse(ctx, standing());
    try {
      await next();
      // What was stored before is not stored again.
      if (ctx.state.stored?.repeated) place.giveBack();
    } catch (error) {
      place.giveBack();
      throw error;
    } finally {
      tell(ctx, standing());
    }
  };
}

function refuse(ctx: Context, standing: Standing): never {
  tell(ctx, standing);
  setRetryAfter(ctx, standing.leftMs);
  const what = standing.name === 'posts' ? 'messages' : 'requests';
  throw new Problem('rate-limited', `too many ${what} came from your address; ${tryAgain(standing.leftMs)}`);
}

function tryAgain(leftMs: number): string {
  const seconds = secondsToWait(leftMs);
  return `please try again in ${seconds === 1 ? 'a second' : seconds <= 90 ? `${seconds} seconds` : `${Math.ceil(seconds / 60)} minutes`}`;
}

/** The fields of draft-ietf-httpapi-ratelimit-headers, and those that came before it, in whole seconds. */
function tell(ctx: Context, { name, quota, windowMs, remaining, leftMs }: Standing): void {
  ctx.set('RateLimit-Policy', `"${name}";q=${quota};w=${Math.ceil(windowMs / 1000)}`);
  ctx.set('RateLimit', `"${name}";r=${remaining};t=${Math.ceil(leftMs / 1000)}`);
  ctx.set('X-RateLimit-Limit', String(quota));
  ctx.set('X-RateLimit-Remaining', String(remaining));
  ctx.set('X-RateLimit-Reset', String(Math.ceil((Date.now() + leftMs) / 1000)));
}

function setRetryAfter(ctx: Context, leftMs: number): void {
  ctx.set('Retry-After', String(secondsToWait(leftMs)));
}

function secondsToWait(leftMs: number): number {
  return Math.max(1, Math.ceil(leftMs / 1000));
}
