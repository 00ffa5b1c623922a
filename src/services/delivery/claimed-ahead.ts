import type { ClaimedEmail } from './claim-due.ts';

/**
 * How long an email may wait in the hand. Together with a send's deadline and the time until the lease is renewed it must
 * end before the lease does; and it is so short since nothing that happens meanwhile (a pause, a block) reaches an email in the hand.
 */
export const handMs = 2000;

/** At most so many for each lane wait in the hand. */
export const mostPerLane = 2;

/** An email that was claimed, and until when it may be begun. */
export interface Held {
  readonly email: ClaimedEmail;
  /** By two clocks: the machine's may be set back, and the other one stands still while the machine sleeps. */
  readonly until: { readonly date: number; readonly steady: number };
  /** Never to be begun. */
  isGivenUp?: boolean;
}

export function holdFor(ms: number): Held['until'] {
  return { date: Date.now() + ms, steady: performance.now() + ms };
}

export function isStale({ until, isGivenUp = false }: Held): boolean {
  return isGivenUp || Date.now() > until.date || performance.now() > until.steady;
}

/** Counts what happened within the last second, in steps of a tenth. */
export function createRate(): { count(): void; lastSecond(): number } {
  const steps = new Array<number>(10).fill(0);
  let now = 0;
  const turn = () => {
    const step = Math.floor(performance.now() / 100);
    for (let it = Math.max(now + 1, step - 9); it <= step; it++) steps[it % 10] = 0;
    now = step;
  };
  return {
    count() {
      turn();
      steps[now % 10] = (steps[now % 10] ?? 0) + 1;
    },
    lastSecond() {
      turn();
      return steps.reduce((sum, it) => sum + it, 0);
    },
  };
}
