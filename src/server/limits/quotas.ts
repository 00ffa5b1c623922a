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
 * Counts stored posts or requests of each client, in windows that begin with the client's first one. A post takes its
 * place before it is read, so that a hundred at once cannot all slip by, and gives the place back if it is refused.
 */
export class Quota {
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

/** Requests that one API key may make: more than a person's program needs, fewer than hurt. */
export const keyLimit: RateLimit = { posts: 300, windowMs: 60_000 };

/** Operators make the keys, so there are never nearly as many. */
export const maxKeys = 10_000;
