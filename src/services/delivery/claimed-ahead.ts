/**
 * How long a claimed row may wait for a lane. This time, the deadline of a send and the time until the first renewal must
 * together be shorter than a lease. It is short because a pause or a block does not reach a row that is already claimed.
 */
export const maxWaitMs = 2000;

/** How many claimed rows may wait for each lane. */
export const maxAheadPerLane = 2;

interface Claimed<Row> {
  readonly row: Row;
  /** By two clocks: the wall clock may be set back, and the steady one stands still while the machine sleeps. */
  readonly until: { readonly date: number; readonly steady: number };
  /** Must not be sent any more. */
  isGivenUp?: boolean;
}

function isStale({ until, isGivenUp = false }: Claimed<unknown>): boolean {
  return isGivenUp || Date.now() > until.date || performance.now() > until.steady;
}

/** The rows that a worker has claimed and not started, in the order of the claims. */
export class ClaimedAhead<Row extends { readonly id: string }> {
  #waiting: Claimed<Row>[] = [];
  #notYetChecked: Claimed<Row>[] = [];

  /** How many rows wait for a lane. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Rows that may have become unwanted; none of them is in a lane's turn yet. */
  get notYetChecked(): Row[] {
    return this.#notYetChecked.map((it) => it.row);
  }

  add(rows: readonly Row[], needsCheck: (row: Row) => boolean): void {
    const until = { date: Date.now() + maxWaitMs, steady: performance.now() + maxWaitMs };
    for (const row of rows) (needsCheck(row) ? this.#notYetChecked : this.#waiting).push({ row, until });
  }

  /** The rows that were not yet checked may be sent, except these. */
  letPass(except: ReadonlySet<string>): void {
    this.#waiting.push(...this.#notYetChecked.filter((it) => !except.has(it.row.id)));
    this.#notYetChecked = [];
  }

  /** Takes the first row if it may still be started. */
  takeNext(): Row | undefined {
    const [first] = this.#waiting;
    if (first === undefined || isStale(first)) return undefined;
    return this.#waiting.shift()?.row;
  }

  /** Takes the rows that have waited for too long. */
  takeStale(): Row[] {
    // Each row is asked once: one that becomes stale meanwhile must not be lost.
    const { stale = [], fresh = [] } = Object.groupBy(this.#waiting, (it) => (isStale(it) ? 'stale' : 'fresh'));
    this.#waiting = fresh;
    return stale.map((it) => it.row);
  }

  /** None of the rows that are here now may be started any more. */
  giveUpAll(): void {
    for (const it of [...this.#waiting, ...this.#notYetChecked]) it.isGivenUp = true;
  }
}

/** Counts events within the last second, in steps of a tenth. */
export function createRate(): { count(): void; lastSecond(): number } {
  const steps = new Array<number>(10).fill(0);
  let now = 0;
  const advance = () => {
    const step = Math.floor(performance.now() / 100);
    for (let it = Math.max(now + 1, step - 9); it <= step; it++) steps[it % 10] = 0;
    now = step;
  };
  return {
    count() {
      advance();
      steps[now % 10] = (steps[now % 10] ?? 0) + 1;
    },
    lastSecond() {
      advance();
      return steps.reduce((sum, it) => sum + it, 0);
    },
  };
}
