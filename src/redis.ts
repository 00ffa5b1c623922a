import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Log } from './log.ts';

const load = createRequire(import.meta.url);

/** So long may a question to Redis keep a visitor, in milliseconds; then it is answered without. */
const patienceMs = 40;

/** While Redis is away it is asked this often whether it is back, in milliseconds, and by no visitor's request. */
const probeEveryMs = 500;

/** A connection that stays silent for so long is given up, in milliseconds, and another one made. */
const silenceMs = 2000;

/** A Redis that may be missing: nothing depends on it, and nobody waits for it. */
export interface SharedRedis extends AsyncDisposable {
  /** @returns undefined where Redis is away, or too slow. What it does later than that is nobody's business. */
  ask<T>(question: (redis: Redis) => Promise<T>): Promise<T | undefined>;
}

/** Connects, or goes on without where that does not work at once. `ioredis` is loaded only here. */
export async function openRedis(url: string, log: Log): Promise<SharedRedis> {
  const redis = createClient(url);
  const stop = new AbortController();
  let away = false;

  function goWithout(error: unknown): void {
    if (away || stop.signal.aborted) return;
    away = true;
    log.warn({ err: error }, 'Redis is away: this server counts limits for itself');
    void waitForReturn();
  }

  async function waitForReturn(): Promise<void> {
    while (away && !stop.signal.aborted) {
      await pause(probeEveryMs, undefined, { signal: stop.signal, ref: false }).catch(() => {});
      const answer = await within(patienceMs, () => redis.ping()).catch(() => undefined);
      if (answer === undefined || stop.signal.aborted) continue;
      away = false;
      log.info('Redis is back: limits are shared again');
    }
  }

  await connect(redis).catch(goWithout);
  return {
    async ask(question) {
      if (away) return undefined;
      try {
        return await within(patienceMs, () => question(redis));
      } catch (error) {
        goWithout(error);
        return undefined;
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      redis.disconnect();
    },
  };
}

/** How Redis does, for an operator. @throws where it does not answer. */
export async function describeRedis(url: string): Promise<{ version: string; tookMs: number }> {
  const redis = createClient(url, { retry: false });
  try {
    await connect(redis);
    const version = /^redis_version:(\S+)/m.exec(await redis.info('server'))?.[1] ?? 'unknown';
    const startedAt = performance.now();
    await redis.ping();
    return { version, tookMs: performance.now() - startedAt };
  } finally {
    redis.disconnect();
  }
}

function createClient(url: string, { retry = true } = {}): Redis {
  const { Redis } = load('ioredis') as typeof import('ioredis');
  const redis = new Redis(url, {
    connectionName: 'ruffinweb',
    lazyConnect: true,
    connectTimeout: 1000,
    socketTimeout: silenceMs,
    keepAlive: 5000,
    // What was asked while there is no connection is answered without Redis, and never asked later.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => (retry ? Math.min(100 * times, 2000) : null),
    // A primary that has become a replica (failover) answers so until its name leads to the new one.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
  // Without a listener for it the library would write to the console.
  redis.on('error', () => {});
  return redis;
}

/** @throws what was in the way; the library's own word for all of it is "Connection is closed." */
async function connect(redis: Redis): Promise<void> {
  let reason: Error | undefined;
  const note = (error: Error) => {
    reason = error;
  };
  redis.on('error', note);
  try {
    await redis.connect();
  } catch (error) {
    throw reason ?? error;
  } finally {
    redis.off('error', note);
  }
}

async function within<T>(ms: number, work: () => Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  late.catch(() => {});
  // Where this process was busy for so long the answer may have arrived meanwhile: it is read before the time is up.
  const timer = setTimeout(() => setImmediate(() => reject(new Error(`no answer within ${ms} ms`))), ms);
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
