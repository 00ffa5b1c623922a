import { randomUUID } from 'node:crypto';
import type { RateLimit } from '../../config/config.ts';
import type { SharedRedis } from '../../redis.ts';
import type { Place } from './quotas.ts';

/**
 * Counts that several servers share in Redis. A Redis key lives as long as its window, and contains a keyed hash instead of
 * the client's address.
 */
export interface SharedCounts {
  /**
   * Takes a place, like `Quota`.
   *
   * @param what not `requests`: release 0.2.0 stores another type of value there.
   * @returns undefined while Redis is away; then the caller counts alone.
   */
  take(what: 'posts' | 'all-requests' | 'key', client: string, limit: RateLimit): Promise<Place | undefined>;
}

/** A window begins with the first post. Its name keeps a late `giveBack` out of the next window. */
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

/** @param hash gives a client's name in Redis; the same on every server of one database. */
export function shareCounts(redis: SharedRedis, hash: (client: string) => string): SharedCounts {
  return {
    async take(what, client, { posts, windowMs }) {
      const key = `ruffinweb:${what}:${hash(client)}`;
      const answer = await redis.ask(async (it) => await it.eval(takeScript, 1, key, posts, windowMs, randomUUID()));
      if (answer === undefined) return undefined;
      // ioredis does not know what a script returns.
      const [granted, taken, leftMs, window] = answer as [number, number, number, string];
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
          // Nobody waits for this. If it fails, the place is free when the window ends.
          void redis.ask((it) => it.eval(giveBackScript, 1, key, window));
        },
      };
    },
  };
}
