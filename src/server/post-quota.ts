import type { RateLimit } from '../config.ts';
import { CappedMap } from './capped-map.ts';

/** One client's count in one window. */
export interface Window {
  taken: number;
  /** On the clock given to the quota, in milliseconds. */
  endsAt: number;
}

/**
 * Counts what each client has had stored, in windows that begin with a client's first post. A place is taken
 * before the post is read, so that a hundred at once cannot all slip by, and given back if nothing came of it.
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

  /** The window in which a place was taken, or in which there was none left. */
  take(client: string): { taken: boolean; window: Window } {
    const now = this.#now();
    let window = this.#windows.get(client);
    if (window === undefined || window.endsAt <= now) {
      window = { taken: 0, endsAt: now + this.#limit.windowMs };
      this.#windows.set(client, window);
    }
    if (window.taken >= this.#limit.posts) return { taken: false, window };
    window.taken += 1;
    return { taken: true, window };
  }

  giveBack(window: Window): void {
    window.taken -= 1;
  }

  remaining(window: Window): number {
    return this.#limit.posts - window.taken;
  }

  /** Until the window's end, in milliseconds. */
  leftMs(window: Window): number {
    return Math.max(0, window.endsAt - this.#now());
  }
}
