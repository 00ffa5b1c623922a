import type { Context, Middleware } from 'koa';
import rateLimit from 'koa-ratelimit';
import type { RateLimit } from '../../config/config.ts';
import { networkOf, widerNetworksOf } from '../../network/ip-network.ts';
import { Problem } from '../../problems.ts';
import { CappedMap, type Place, Quota } from './quotas.ts';
import type { SharedCounts } from './shared-counts.ts';

/** Max clients that each limit remembers. A new client then replaces the oldest one. */
const capacity = 20_000;

/** Requests per allowed post: room to correct what was refused. */
const requestsPerPost = 10;

/** Pages and scripts per client. A whole office may have one address. */
const pageLimit: RateLimit = { posts: 600, windowMs: 60_000 };

/**
 * The limits for all clients together, unless a single client may do more. A refused request costs little, so refusals
 * have a limit of their own: they cannot lock out visitors whose posts are stored.
 */
const everybody = { notRefused: 1000, all: 10_000, windowMs: 10_000 };

/** Middleware to run before the request is read. Only the post limit reads a visitor's post that it refuses. */
export interface Limits {
  /** For routes that store nothing. */
  readonly requests: readonly Middleware[];
  /** For routes that store a message. */
  readonly posts: readonly Middleware[];
}

/**
 * Three limits: stored posts per client (`RATE_LIMIT`), requests per client and per network around it, and requests from
 * all clients. Decisions 10 and 88 give the reasons.
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

/** Counts a client's requests, and those of the wider networks around it: one customer may own very many clients. */
function limitRequests({ posts, windowMs }: RateLimit, shared: SharedCounts | undefined): Middleware {
  const limit = { posts: posts * requestsPerPost, windowMs };
  const wider = new Quota(limit, 2 * capacity);
  const countHere = countRequests(limit);
  return async (ctx, next) => {
    const client = networkOf(ctx.state.clientAddress);
    const networks = widerNetworksOf(ctx.state.clientAddress);
    const place = await shared?.take('all-requests', client, limit, networks);
    if (place === undefined) {
      const around = wider.takeAll(networks);
      const leftMs = around.taken ? await countHere(ctx, client) : around.leftMs;
      if (leftMs !== undefined) {
        if (around.taken) around.giveBack();
        refuse(ctx, 'requests', { ...limit, posts: around.max ?? limit.posts }, { remaining: 0, leftMs });
      }
    } else if (!place.taken) {
      refuse(ctx, 'requests', { ...limit, posts: place.max ?? limit.posts }, { remaining: 0, leftMs: place.leftMs });
    }
    await next();
  };
}

/** Also limits crowds of clients that each stay below their limit, and clients that were replaced. */
function limitEverybody({ posts, windowMs }: RateLimit): Middleware {
  const maxOfOneClient = Math.ceil((posts * requestsPerPost * everybody.windowMs) / windowMs);
  const quotaOf = (max: number) => new Quota({ posts: Math.max(max, maxOfOneClient), windowMs: everybody.windowMs }, 1);
  const [all, notRefused] = [quotaOf(everybody.all), quotaOf(everybody.notRefused)];
  return async (ctx, next) => {
    const any = all.take('everybody');
    const place = any.taken ? notRefused.take('everybody') : any;
    if (!place.taken) {
      setRetryAfter(ctx, place.leftMs);
      throw new Problem('rate-limited', `this server gets too many requests at the moment; ${tryAgain(place.leftMs)}`);
    }
    let isRefused = true;
    try {
      await next();
      isRefused = ctx.status >= 400;
    } finally {
      if (isRefused) place.giveBack();
    }
  };
}

/**
 * The library counts. We write the headers and the refusal: the library's headers contain fractions.
 *
 * @returns a function that counts one request. It returns how long the client has to wait, or undefined.
 */
function countRequests({ posts, windowMs }: RateLimit): (ctx: Context, client: string) => Promise<number | undefined> {
  // Without this map the library would make a new one for each request, and so limit nothing.
  const counts = new CappedMap<string, { reset: number }>(capacity);
  const id = (ctx: Context) => networkOf(ctx.state.clientAddress);
  const count = rateLimit({ driver: 'memory', db: counts, disableHeader: true, max: posts, duration: windowMs, id });
  return async (ctx, client) => {
    let isWithin = false;
    await count(ctx, async () => {
      isWithin = true;
    });
    if (isWithin) return undefined;
    const endsAt = (counts.get(`limit:${client}`)?.reset ?? 0) * 1000;
    return Math.max(0, endsAt - performance.timeOrigin - performance.now());
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
