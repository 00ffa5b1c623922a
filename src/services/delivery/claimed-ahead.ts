/**
 * How long a claimed row may wait for a lane. This time, the deadline of a send and the time until the first renewal must
 * together be shorter than a lease. It is short because a pause or a block does not reach a row that is already claimed.
 */
export const maxWaitMs = 2000;

/** How many claimed rows may wait for each lane. */
const maxAheadPerLane = 2;

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
  readonly #lanes: number;
  readonly #needsCheck: ((row: Row) => boolean) | undefined;
  readonly #finishedAt: number[] = [];
  #waiting: Claimed<Row>[] = [];
  #notYetChecked: Claimed<Row>[] = [];

  constructor(lanes: number, needsCheck?: (row: Row) => boolean) {
    this.#lanes = lanes;
    this.#needsCheck = needsCheck;
  }

  /** How many rows should wait: as many as were finished within the last second, up to two for each lane. */
  get maxSize(): number {
    const start = performance.now() - 1000;
    while ((this.#finishedAt[0] ?? Number.POSITIVE_INFINITY) < start) this.#finishedAt.shift();
    return Math.min(this.#lanes * maxAheadPerLane, this.#finishedAt.length);
  }

  countFinished(): void {
    this.#finishedAt.push(performance.now());
  }

  /** How many rows wait for a lane. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Rows that may have become unwanted. None of them is started before `letPass`. */
  get notYetChecked(): Row[] {
    return this.#notYetChecked.map((it) => it.row);
  }

  add(rows: readonly Row[]): void {
    const until = { date: Date.now() + maxWaitMs, steady: performance.now() + maxWaitMs };
    for (const row of rows) (this.#needsCheck?.(row) ? this.#notYetChecked : this.#waiting).push({ row, until });
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
    this.#waiting.shift();
    return first.row;
  }

  /** Takes the rows that have waited for too long. */
  takeStale(): Row[] {
    // Each one is judged only once, so that none is lost by becoming stale meanwhile.
    const { stale = [], fresh = [] } = Object.groupBy(this.#waiting, (it) => (isStale(it) ? 'stale' : 'fresh'));
    this.#waiting = fresh;
    return stale.map((it) => it.row);
  }

  /** None of the rows that are here now may be started any more. */
  giveUpAll(): void {
    for (const it of [...this.#waiting, ...this.#notYetChecked]) it.isGivenUp = true;
  }
}
