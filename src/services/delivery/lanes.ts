import { grace } from '../../grace.ts';

/**
 * How long a lane rests after it met no mail server. Longer than the wait of its email and one poll: the lanes that the
 * server let in send that email first. If both ended together, the same lanes would fail with the same emails again.
 */
const restMs = 11_000;

/** How long to wait for the attempts of other lanes. */
const othersMs = 2000;

/**
 * The lanes of a worker. Each is free, busy with an attempt, or rests because it met no mail server. Only that lane rests: the
 * server may just limit our connections, so the others go on.
 */
export class Lanes {
  readonly #count: number;
  readonly #wake: () => void;
  readonly #attempts = new Set<Promise<void>>();
  readonly #sending = new Set<Promise<unknown>>();
  #resting = 0;

  /** @param wake is called when a lane becomes free. */
  constructor(count: number, wake: () => void) {
    this.#count = count;
    this.#wake = wake;
  }

  get free(): number {
    return this.#count - this.#attempts.size - this.#resting;
  }

  get busy(): number {
    return this.#attempts.size;
  }

  /** @param onEnd runs when the lane is free again. */
  start(work: Promise<void>, onEnd: () => void): void {
    const attempt = work.then(() => {
      this.#attempts.delete(attempt);
      onEnd();
      this.#wake();
    });
    this.#attempts.add(attempt);
  }

  /** Follows an attempt, which is the first part of a lane's work. */
  async follow<Result>(attempt: Promise<Result>): Promise<Result> {
    this.#sending.add(attempt);
    try {
      return await attempt;
    } finally {
      this.#sending.delete(attempt);
    }
  }

  /** Waits a short time for the attempts of the other lanes. If one is accepted, the mail server is there. */
  async othersEnd(stop: AbortSignal): Promise<void> {
    await Promise.race([Promise.all(this.#sending), grace(othersMs, stop)]);
  }

  rest(): void {
    this.#resting += 1;
    const end = () => {
      this.#resting -= 1;
      this.#wake();
    };
    setTimeout(end, restMs).unref();
  }

  async allDone(): Promise<void> {
    await Promise.all(this.#attempts);
  }
}
