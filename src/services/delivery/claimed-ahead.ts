import type { ClaimedEmail } from './claim-due.ts';

/**
 * How long a claimed email may wait for a lane. This time, the deadline of a send and the time until the first renewal must
 * together be shorter than a lease. It is short because a pause or a block does not reach an email that is already claimed.
 */
export const maxWaitMs = 2000;

/** How many claimed emails may wait for each lane. */
const maxAheadPerLane = 2;

interface Claimed {
  readonly email: ClaimedEmail;
  /** By two clocks: the wall clock may be set back, and the steady one stands still while the machine sleeps. */
  readonly until: { readonly date: number; readonly steady: number };
  /** Must not be sent any more. */
  isGivenUp?: boolean;
}

function isStale({ until, isGivenUp = false }: Claimed): boolean {
  return isGivenUp || Date.now() > until.date || performance.now() > until.steady;
}

/** The emails that a worker has claimed and not started, in the order of the claims. */
export class ClaimedAhead {
  readonly #lanes: number;
  readonly #finishedAt: number[] = [];
  #waiting: Claimed[] = [];
  #notYetChecked: Claimed[] = [];

  constructor(lanes: number) {
    this.#lanes = lanes;
  }

  /** How many emails should wait: as many as were finished within the last second, up to two for each lane. */
  get maxSize(): number {
    const start = performance.now() - 1000;
    while ((this.#finishedAt[0] ?? Number.POSITIVE_INFINITY) < start) this.#finishedAt.shift();
    return Math.min(this.#lanes * maxAheadPerLane, this.#finishedAt.length);
  }

  countFinished(): void {
    this.#finishedAt.push(performance.now());
  }

  /** How many emails wait for a lane. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Emails that may have become unwanted. None of them is started before `letPass`. */
  get notYetChecked(): ClaimedEmail[] {
    return this.#notYetChecked.map((it) => it.email);
  }

  add(emails: readonly ClaimedEmail[]): void {
    const until = { date: Date.now() + maxWaitMs, steady: performance.now() + maxWaitMs };
    for (const email of emails) {
      (email.kind === 'notification' ? this.#waiting : this.#notYetChecked).push({ email, until });
    }
  }

  /** The emails that were not yet checked may be sent, except these. */
  letPass(except: ReadonlySet<string>): void {
    this.#waiting.push(...this.#notYetChecked.filter((it) => !except.has(it.email.id)));
    this.#notYetChecked = [];
  }

  /** Takes the first email if it may still be started. */
  takeNext(): ClaimedEmail | undefined {
    const [first] = this.#waiting;
    if (first === undefined || isStale(first)) return undefined;
    return this.#waiting.shift()?.email;
  }

  /** Takes the emails that have waited for too long. */
  takeStale(): ClaimedEmail[] {
    // Each one is judged only once, so that none is lost by becoming stale meanwhile.
    const { stale = [], fresh = [] } = Object.groupBy(this.#waiting, (it) => (isStale(it) ? 'stale' : 'fresh'));
    this.#waiting = fresh;
    return stale.map((it) => it.email);
  }

  /** None of the emails that are here now may be started any more. */
  giveUpAll(): void {
    for (const it of [...this.#waiting, ...this.#notYetChecked]) it.isGivenUp = true;
  }
}
