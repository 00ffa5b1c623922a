import { randomUUID } from 'node:crypto';
import type { Context } from '../../context.ts';
import { grace } from '../../grace.ts';
import { openScope, type Scope } from '../scope.ts';
import { makeAttempt } from './attempt.ts';
import { ClaimedAhead, maxWaitMs } from './claimed-ahead.ts';
import { type ClearUnsent, createClearUnsent } from './clear-unsent.ts';
import type { Claim, Job, LeasedRow } from './job.ts';
import { Lanes } from './lanes.ts';
import { defaultRenewAfterMs } from './renew-lease.ts';
import { createReturnQueue } from './return-unsent.ts';
import { createSettleQueue, type Settle } from './settle-queue.ts';

/** After a stop: how long attempts may go on, and how much longer once their mail is handed over. */
const finishMs = 10_000;

export type WorkerState = 'returning' | 'claiming' | 'checking' | 'sending' | 'stopping';

export interface WorkerOptions {
  /** Shortens a stop when it is aborted. */
  hasten?: AbortSignal | undefined;
  /** See `renew-lease.ts`. */
  renewAfterMs?: number | undefined;
}

/**
 * Claims due rows, sends them, and writes the outcomes down. It knows rows with a lease; everything about what is sent is in
 * the job that it is given.
 *
 * `takeDue` runs through four states, and `stop` is the fifth:
 *
 * - returning: returns rows that it claimed and will not send. Until the database has them, it claims nothing.
 * - claiming: leases due rows, one for each free lane and some ahead. Before that, the first time and after an outage, it
 *   prepares the job. If nothing is due, it probes a broken transport.
 * - checking: asks which of the new rows have become unwanted. Until it knows, none of these is sent.
 * - sending: its rows are in the lanes, one in each, or wait for a lane. Attempts also go on during all other states.
 * - stopping: returns what waits, lets attempts finish, and then ends them.
 *
 * It claims as many rows ahead as it finished within the last second: dozens while mail flows, none if it trickles.
 */
export class Worker<Row extends LeasedRow, Content> {
  readonly #context: Context;
  readonly #job: Job<Row, Content>;
  readonly #stop: AbortSignal;
  readonly #options: WorkerOptions;
  readonly #scope: Scope;
  readonly #settle: Settle;
  readonly #clearUnsent: ClearUnsent;
  readonly #interrupt = new AbortController();
  readonly #lanes: Lanes;
  readonly #claimed: ClaimedAhead<Row>;
  readonly #returns: ReturnType<typeof createReturnQueue>;
  /** What it is doing; after an error, what it was doing. */
  state: WorkerState = 'returning';
  /** How many attempts were started. */
  started = 0;
  /** False before the first claim and after an outage, when the database may have been restored. */
  isPrepared = false;
  #wake = Promise.withResolvers<void>();

  constructor(context: Context, job: Job<Row, Content>, stop: AbortSignal, options: WorkerOptions = {}) {
    this.#context = context;
    this.#job = job;
    this.#stop = stop;
    this.#options = options;
    this.#lanes = new Lanes(job.lanes, () => this.#wake.resolve());
    this.#claimed = new ClaimedAhead(job.lanes, job.needsCheck);
    this.#scope = openScope(context);
    this.#settle = createSettleQueue(context, job, this.#interrupt.signal);
    this.#clearUnsent = createClearUnsent(context);
    this.#returns = createReturnQueue(this.#scope, job.table);
    stop.addEventListener('abort', () => this.#wake.resolve());
  }

  /** Whether it makes no sense to claim more before an attempt has ended. */
  get isFull(): boolean {
    return this.#lanes.free <= 0 && this.#claimed.size >= this.#claimed.maxSize / 2;
  }

  get hasWaiting(): boolean {
    return this.#claimed.size > 0;
  }

  get isIdle(): boolean {
    return this.#lanes.busy + this.#claimed.size === 0;
  }

  /** Resolves when an attempt has ended, when the claimed rows have waited too long, or at the stop. */
  async nextTurn(): Promise<void> {
    const timer = setTimeout(() => this.#wake.resolve(), maxWaitMs);
    await this.#wake.promise;
    clearTimeout(timer);
    if (!this.#stop.aborted) this.#wake = Promise.withResolvers<void>();
  }

  async takeDue(): Promise<{ mayBeMore: boolean }> {
    await this.#return();
    const limit = this.#lanes.free + this.#claimed.maxSize - this.#claimed.size;
    const found = limit > 0 ? await this.#claim(limit) : limit;
    await this.#check();
    this.state = 'sending';
    return { mayBeMore: found === limit };
  }

  async stop(): Promise<void> {
    this.state = 'stopping';
    const attempts = this.#lanes.allDone();
    this.#claimed.giveUpAll();
    this.#returns.add(this.#claimed.takeStale());
    const returned = this.#returns.returnAll().catch((error) => {
      this.#scope.log.warn({ err: error }, 'rows that were not started wait until their leases expire');
    });
    const { hasten } = this.#options;
    await Promise.race([attempts, grace(finishMs, hasten)]);
    this.#interrupt.abort();
    await Promise.race([attempts, grace(finishMs, hasten)]);
    await this.#job.close?.();
    await Promise.all([attempts, returned]);
  }

  async #return(): Promise<void> {
    this.state = 'returning';
    this.#returns.add(this.#claimed.takeStale());
    // A row behind a stale one may be startable.
    this.#fillLanes();
    await this.#returns.returnAll();
  }

  /** @returns how many rows the claim found. */
  async #claim(limit: number): Promise<number> {
    this.state = 'claiming';
    const isFirst = !this.isPrepared;
    if (isFirst) await this.#job.prepare(this.#scope);
    let claim = await this.#claimWithToken(limit);
    const isEmpty = claim.rows.length + claim.givenUp.length === 0;
    if (isEmpty && (await this.#job.probe?.(this.#stop, { atOnce: isFirst }))) {
      claim = await this.#claimWithToken(limit);
    }
    this.isPrepared = true;
    this.#claimed.add(claim.rows);
    this.#fillLanes();
    return claim.rows.length + claim.givenUp.length;
  }

  async #claimWithToken(limit: number): Promise<Claim<Row>> {
    const leaseToken = randomUUID();
    try {
      return await this.#job.claim(this.#scope, limit, leaseToken);
    } catch (error) {
      this.#returns.addClaim(leaseToken);
      throw error;
    }
  }

  async #check(): Promise<void> {
    const rows = this.#claimed.notYetChecked;
    if (rows.length === 0) return;
    this.state = 'checking';
    try {
      this.#claimed.letPass((await this.#job.cancelUnwanted?.(this.#scope, rows)) ?? new Set());
    } catch (error) {
      // Perhaps only the response was lost and some are cancelled: none of them may be sent.
      this.#claimed.letPass(new Set(rows.map((it) => it.id)));
      this.#returns.add(rows);
      throw error;
    }
    this.#fillLanes();
  }

  /** Starts attempts while a lane is free and a row may still be started. */
  #fillLanes(): void {
    while (this.#lanes.free > 0 && !this.#stop.aborted) {
      const row = this.#claimed.takeNext();
      if (row === undefined) return;
      this.started += 1;
      this.#lanes.start(this.#send(row), () => this.#fillLanes());
    }
  }

  async #send(row: Row): Promise<void> {
    const scope = openScope(this.#context, { [this.#job.noun]: row.id, ...this.#job.tags(row) });
    const renewAfterMs = this.#options.renewAfterMs ?? defaultRenewAfterMs;
    const [settle, clearUnsent, interrupt] = [this.#settle, this.#clearUnsent, this.#interrupt.signal];
    const attempt = makeAttempt(scope, this.#job, row, { settle, clearUnsent, interrupt, renewAfterMs });
    const result = await this.#lanes.follow(attempt);
    if (result === 'away') return await this.#meetAway();
    this.#claimed.countFinished();
    // Waiting rows must not run into the same error.
    if (this.#job.endsTurn(result)) this.#claimed.giveUpAll();
  }

  async #meetAway(): Promise<void> {
    await this.#lanes.othersEnd(this.#stop);
    const found = (await this.#job.confirmAway?.(this.#stop)) ?? 'paused';
    if (found !== 'answers') this.#claimed.giveUpAll();
    if (found !== 'paused') this.#lanes.rest();
  }
}
