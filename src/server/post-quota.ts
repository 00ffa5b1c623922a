import type { RateLimit } from '../config/config.ts';
import { CappedMap } from './capped-map.ts';

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
