import { randomUUID } from 'node:crypto';
import type { RateLimit } from '../../config/config.ts';
import type { WiderNetwork } from '../../network/ip-network.ts';
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
   * @param wider networks around the client, the widest first. A place is taken in all of them or in none, and cannot be
   *   given back.
   * @param what not `requests`: release 0.2.0 stores another type of value there.
   * @returns undefined while Redis is away; then the caller counts alone.
   */
  take(
    what: 'posts' | 'all-requests' | 'key',
    client: string,
    limit: RateLimit,
    wider?: readonly WiderNetwork[],
  ): Promise<Place | undefined>;
}

/**
 * A window begins with the first post. Its name keeps a late `giveBack` out of the next window. Takes a place in the windows
 * of all keys, or in none if one is full: the last key is the client's. Returns the number of the full one, or 0.
 */
const takeScript = `
local full, taken = 0, 0
for i, key in ipairs(KEYS) do
  if redis.call('exists', key) == 0 then
    redis.call('hset', key, 'taken', 0, 'window', ARGV[2])
    redis.call('pexpire', key, ARGV[1])
  end
  taken = tonumber(redis.call('hget', key, 'taken'))
  if taken >= tonumber(ARGV[2 + i]) then
    full = i
    break
  end
end
if full == 0 then
  for _, key in ipairs(KEYS) do taken = redis.call('hincrby', key, 'taken', 1) end
end
local key = KEYS[full == 0 and #KEYS or full]
return { full, taken, redis.call('pttl', key), redis.call('hget', key, 'window') }`;

const giveBackScript = `
if redis.call('hget', KEYS[1], 'window') == ARGV[1] then redis.call('hincrby', KEYS[1], 'taken', -1) end`;

/** @param hash gives a client's name in Redis; the same on every server of one database. */
export function shareCounts(redis: SharedRedis, hash: (client: string) => string): SharedCounts {
  return {
    async take(what, client, { posts, windowMs }, wider = []) {
      const keyOf = (it: string) => `ruffinweb:${what}:${hash(it)}`;
      const key = keyOf(client);
      const keys = [...wider.map((it) => keyOf(it.network)), key];
      const limits = [...wider.map((it) => posts * it.times), posts];
      const answer = await redis.ask(
        async (it) => await it.eval(takeScript, keys.length, ...keys, windowMs, randomUUID(), ...limits),
      );
      if (answer === undefined) return undefined;
      // ioredis does not know what a script returns.
      const [full, taken, leftMs, window] = answer as [number, number, number, string];
      const endsAt = performance.now() + leftMs;
      let used = taken;
      return {
        taken: full === 0,
        max: full === 0 || full === keys.length ? undefined : limits[full - 1],
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
