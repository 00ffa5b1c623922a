import { setTimeout as pause } from 'node:timers/promises';

/** Waits for something that may never happen; after a deadline it fails with its name. */
export async function soon<T>(what: string, promise: Promise<T>, deadlineMs = 60_000): Promise<T> {
  const late = new AbortController();
  const fail = pause(deadlineMs, undefined, { signal: late.signal }).then(() => {
    throw new Error(`waited ${deadlineMs} ms in vain: ${what}`);
  });
  return await Promise.race([promise, fail]).finally(() => late.abort());
}

/**
 * Waits for a condition; after a deadline it fails with the condition's name. It checks every few milliseconds at first,
 * and every 50 after a second, because many of these checks ask the database and slow down what they wait for.
 */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 30_000,
): Promise<T> {
  const start = Date.now();
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen;
    const waitedMs = Date.now() - start;
    if (waitedMs > deadlineMs) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`);
    await pause(Math.min(5 + waitedMs / 20, 50));
  }
}
