import type { RateLimit } from '../../config/config.ts';

/** What a client asked for: whether there was a place, and how its window stands now. */
export interface Place {
  readonly taken: boolean;
  readonly remaining: number;
  /** Until the window's end, in milliseconds. */
  readonly leftMs: number;
  /** Nothing came of it. */
  giveBack(): void;
}

/** One client's count in one window. */
interface Window {
  taken: number;
  /** On the clock given to the quota, in milliseconds. */
  endsAt: number;
}

/**
 * Counts what each client has had stored, or what all together ask, in windows that begin with the first. A place is
 * taken before the post is read, so that a hundred at once cannot all slip by, and given back if nothing came of it.
 */
export class PostQuota {
  readonly #windows: CappedMap<string, Window>;
  readonly #limit: RateLimit;
  readonly #now: () => number;

  /** @param now a clock that only ever goes forward, in milliseconds. */
  constructor(limit: RateLimit, capacity: number, now: () => number = () => performance.now()) {
    this.#limit = limit;
    this.#windows = new CappedMap(capacity);
    this.#now = now;
  }

  take(client: string): Place {
    const now = this.#now();
    let window = this.#windows.get(client);
    if (window === undefined || window.endsAt <= now) {
      window = { taken: 0, endsAt: now + this.#limit.windowMs };
      this.#windows.set(client, window);
    }
    const taken = window.taken < this.#limit.posts;
    if (taken) window.taken += 1;
    return this.#placeIn(window, taken);
  }

  #placeIn(window: Window, taken: boolean): Place {
    const [limit, now] = [this.#limit, this.#now];
    return {
      taken,
      get remaining() {
        return limit.posts - window.taken;
      },
      get leftMs() {
        return Math.max(0, window.endsAt - now());
      },
      giveBack() {
        window.taken -= 1;
      },
    };
  }
}
/**
 * A map that forgets its oldest entry when it is full, so that nobody can make it grow by using ever new keys.
 * The oldest is the one set first: with windows of one length also the first to end.
 */
export class CappedMap<Key, Value> extends Map<Key, Value> {
  readonly #capacity: number;
  // One iterator for good: a fresh one would step over all that was ever deleted at the front.
  readonly #oldest: MapIterator<Key>;

  constructor(capacity: number) {
    super();
    this.#capacity = capacity;
    this.#oldest = this.keys();
  }

  override set(key: Key, value: Value): this {
    this.delete(key);
    while (this.size >= this.#capacity) this.delete(this.#oldest.next().value as Key);
    return super.set(key, value);
  }
}
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
