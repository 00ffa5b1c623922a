import type { RateLimit } from '../../config/config.ts';
import type { WiderNetwork } from '../../network/ip-network.ts';

/** The result of taking a place in a client's window. */
export interface Place {
  /** False if the window is full. */
  readonly taken: boolean;
  readonly remaining: number;
  /** Time until the window ends. */
  readonly leftMs: number;
  /** Set if the window of a wider network was full: its limit. */
  readonly max?: number | undefined;
  giveBack(): void;
}

/** One client's count in one window. */
interface Window {
  taken: number;
  endsAt: number;
}

/**
 * Counts each client's posts or requests, in windows that begin with the client's first one. A post takes its place before
 * it is read, so that parallel posts cannot exceed the limit, and gives it back if it is refused.
 */
export class Quota {
  readonly #windows: CappedMap<string, Window>;
  readonly #limit: RateLimit;
  readonly #now: () => number;

  /** @param now a monotonic clock, in milliseconds. */
  constructor(limit: RateLimit, capacity: number, now: () => number = () => performance.now()) {
    this.#limit = limit;
    this.#windows = new CappedMap(capacity);
    this.#now = now;
  }

  /** Takes a place in each of these windows, or in none. */
  takeAll(networks: readonly WiderNetwork[]): Place {
    const places: Place[] = [];
    for (const { network, times } of networks) {
      const place = this.take(network, times);
      places.push(place);
      if (place.taken) continue;
      for (const it of places) if (it.taken) it.giveBack();
      return Object.assign(place, { max: this.#limit.posts * times });
    }
    const giveBack = () => {
      for (const it of places) it.giveBack();
    };
    return { taken: true, remaining: 0, leftMs: 0, giveBack };
  }

  /** @param times multiplies the limit. */
  take(client: string, times = 1): Place {
    const [limit, now] = [{ ...this.#limit, posts: this.#limit.posts * times }, this.#now];
    let window = this.#windows.get(client);
    if (window === undefined || window.endsAt <= now()) {
      window = { taken: 0, endsAt: now() + limit.windowMs };
      this.#windows.set(client, window);
    }
    const current = window;
    const taken = current.taken < limit.posts;
    if (taken) current.taken += 1;
    return {
      taken,
      get remaining() {
        return limit.posts - current.taken;
      },
      get leftMs() {
        return Math.max(0, current.endsAt - now());
      },
      giveBack() {
        if (taken) current.taken -= 1;
      },
    };
  }
}

/**
 * Drops the oldest entry when it is full, so that clients with ever new keys cannot make it grow. The oldest is the one
 * that was set first, and so the first whose window ends.
 */
export class CappedMap<Key, Value> extends Map<Key, Value> {
  readonly #capacity: number;
  // A new iterator each time would have to skip everything that was ever deleted at the front.
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
