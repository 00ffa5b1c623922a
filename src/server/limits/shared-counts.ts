import { randomUUID } from 'node:crypto';
import type { Context, Middleware } from 'koa';
import rateLimit from 'koa-ratelimit';
import type { RateLimit } from '../../config/config.ts';
import type { SharedRedis } from '../../redis.ts';
import type { Place } from './quotas.ts';

/**
 * Counts that several servers share in Redis. While Redis is away, each answer is undefined, and the caller counts by
 * itself. A key lives as long as the window that it counts in, and has a keyed hash for the client: Redis, too,
 * learns nobody's address.
 */
export interface SharedCounts {
  /** A place among the `posts` of a window, as `Quota` gives them. */
  take(what: 'posts' | 'key', client: string, limit: RateLimit): Promise<Place | undefined>;
  /** Makes what counts a client's requests and says how many milliseconds it has to wait: 0 where it may go on. */
  requestCounter(limit: RateLimit): (client: string) => Promise<number | undefined>;
}

/** A window begins with the first post; its name keeps a late `giveBack` out of the next one. */
const takeScript = `
if redis.call('exists', KEYS[1]) == 0 then
  redis.call('hset', KEYS[1], 'taken', 0, 'window', ARGV[3])
  redis.call('pexpire', KEYS[1], ARGV[2])
end
local taken = tonumber(redis.call('hget', KEYS[1], 'taken'))
local granted = 0
if taken < tonumber(ARGV[1]) then
  granted = 1
  taken = redis.call('hincrby', KEYS[1], 'taken', 1)
end
return { granted, taken, redis.call('pttl', KEYS[1]), redis.call('hget', KEYS[1], 'window') }`;

const giveBackScript = `
if redis.call('hget', KEYS[1], 'window') == ARGV[1] then redis.call('hincrby', KEYS[1], 'taken', -1) end`;

/** @param hash what a client is called in Redis; the same on every server of one database. */
export function shareCounts(redis: SharedRedis, hash: (client: string) => string): SharedCounts {
  return {
    async take(what, client, { posts, windowMs }) {
      const key = `ruffinweb:${what}:${hash(client)}`;
      // The types know what a script takes, not what it returns.
      const answer = await redis.ask(
        async (it) =>
          (await it.eval(takeScript, 1, key, posts, windowMs, randomUUID())) as [number, number, number, string],
      );
      if (answer === undefined) return undefined;
      const [granted, taken, leftMs, window] = answer;
      const endsAt = performance.now() + leftMs;
      let used = taken;
      return {
        taken: granted === 1,
        get remaining() {
          return posts - used;
        },
        get leftMs() {
          return Math.max(0, endsAt - performance.now());
        },
        giveBack() {
          used -= 1;
          // Nobody waits for it; where it fails the place is free again at the window's end.
          void redis.ask((it) => it.eval(giveBackScript, 1, key, window));
        },
      };
    },
    requestCounter(limit) {
      const count = countRequests(redis, limit);
      return (client) => count(hash(client));
    },
  };
}

/** The library's Redis driver: a window that slides. */
function countRequests(shared: SharedRedis, limit: RateLimit): (client: string) => Promise<number | undefined> {
  let count: Middleware | undefined;
  return (client) =>
    shared.ask(async (redis) => {
      count ??= rateLimit({
        driver: 'redis',
        db: redis,
        namespace: 'ruffinweb:requests',
        max: limit.posts,
        duration: limit.windowMs,
        disableHeader: true,
        id: (ctx) => ctx.state['client'],
      });
      // Never the request's own context: an answer that comes too late must change nothing about it.
      const scratch = { state: { client } as { rateLimit?: { after: number } }, set() {} };
      let within = false;
      await count(scratch as unknown as Context, async () => {
        within = true;
      });
      return within ? 0 : Math.min(limit.windowMs, ((scratch.state.rateLimit?.after ?? 0) + 1) * 1000);
    });
}
