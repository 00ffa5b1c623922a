import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { Log } from './log.ts';

const load = createRequire(import.meta.url);

/** Max time that a visitor waits for Redis. Then the server continues without it. */
const timeoutMs = 40;

/** How often to check whether Redis is back. Visitors' requests do not check. */
const probeEveryMs = 500;

/** A connection without an answer for this long is replaced. */
const silenceMs = 2000;

/** Redis is optional: nothing waits longer than `timeoutMs` for it. */
export interface SharedRedis extends AsyncDisposable {
  /** @returns undefined if Redis is away or too slow. A later answer is ignored. */
  ask<T>(question: (redis: Redis) => Promise<T>): Promise<T | undefined>;
}

/** Connects, or continues without Redis if that fails at once. `ioredis` is loaded only here. */
export async function openRedis(url: string, log: Log): Promise<SharedRedis> {
  const redis = createClient(url);
  const stop = new AbortController();
  let away = false;

  function continueWithout(error: unknown): void {
    if (away || stop.signal.aborted) return;
    away = true;
    log.warn({ err: error }, 'Redis is away: this server counts limits alone');
    void waitForReturn();
  }

  async function waitForReturn(): Promise<void> {
    while (away && !stop.signal.aborted) {
      await pause(probeEveryMs, undefined, { signal: stop.signal, ref: false }).catch(() => {});
      const answer = await within(timeoutMs, () => redis.ping()).catch(() => undefined);
      if (answer === undefined || stop.signal.aborted) continue;
      away = false;
      log.info('Redis is back: limits are shared again');
    }
  }

  await connect(redis).catch(continueWithout);
  return {
    async ask(question) {
      if (away) return undefined;
      try {
        return await within(timeoutMs, () => question(redis));
      } catch (error) {
        continueWithout(error);
        return undefined;
      }
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      redis.disconnect();
    },
  };
}

/** Redis's version and response time, for an operator. @throws if it does not answer. */
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
    // A command without a connection fails at once and is never sent later.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => (retry ? Math.min(100 * times, 2000) : null),
    // After a failover the old primary answers READONLY until its name resolves to the new one.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  });
  // Without a listener ioredis writes errors to the console.
  redis.on('error', () => {});
  return redis;
}

/** @throws the reason; ioredis itself only says "Connection is closed." */
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
  // If this process was busy, the answer may already be here: `setImmediate` reads it first.
  const timer = setTimeout(() => setImmediate(() => reject(new Error(`no answer within ${ms} ms`))), ms);
  try {
    return await Promise.race([work(), late]);
  } finally {
    clearTimeout(timer);
  }
}
