/** Requests that one key may make in a minute: more than a person's program needs, fewer than hurt. */
const mostPerMinute = 300;

/** The same share, as it is counted where several servers count together. */
export const keyLimit = { posts: mostPerMinute, windowMs: 60_000 };

/** So many keys are counted at once; keys are made by the operator, so that there are never nearly as many. */
const mostKeys = 10_000;

/**
 * How much each key has used of its share: a bucket that runs full by `mostPerMinute` in a minute (token bucket).
 * Counted in this process alone, where no Redis counts for all.
 */
export class KeyQuota {
  readonly #buckets = new Map<string, { left: number; at: number }>();

  /** @returns the seconds to wait; 0 where the request may go on. */
  take(keyId: string, nowMs = performance.now()): number {
    const bucket = this.#buckets.get(keyId) ?? { left: mostPerMinute, at: nowMs };
    const left = Math.min(mostPerMinute, bucket.left + ((nowMs - bucket.at) / 60_000) * mostPerMinute);
    const granted = left >= 1;
    this.#buckets.delete(keyId);
    this.#buckets.set(keyId, { left: granted ? left - 1 : left, at: nowMs });
    // The one unused for longest is the first.
    if (this.#buckets.size > mostKeys) this.#buckets.delete(this.#buckets.keys().next().value as string);
    return granted ? 0 : Math.max(1, Math.ceil(((1 - left) / mostPerMinute) * 60));
  }
}
