import type { Outcome, SendOptions } from '../../mail/mailer.ts';
import type { Scope } from '../scope.ts';
import type { NextStep } from './retry-schedule.ts';

/**
 * How long a lease lasts. Longer than the wait for a lane (2 s) and the deadline for handing a mail over (60 s) together,
 * so that a running worker always settles or renews it in time; short enough that a dead worker's row is not late.
 */
export const leaseMs = 90_000;

/** Until the lease ends, only the worker that knows its token may send or change the row. */
export interface LeasedRow {
  readonly id: string;
  readonly kind: string;
  readonly leaseToken: string;
  /** Attempts begun so far, including this one. */
  readonly tries: number;
}

/** The tables of one kind of rows. */
export interface JobTable {
  readonly rows: 'emails' | 'hook_deliveries';
  readonly attempts: 'attempts' | 'hook_attempts';
  /** The column of an attempt that names its row. */
  readonly reference: 'email_id' | 'delivery_id';
}

export const emailTable: JobTable = { rows: 'emails', attempts: 'attempts', reference: 'email_id' };

/** How one attempt ended, and what follows from it. */
export interface Settlement<Row = Pick<LeasedRow, 'id' | 'leaseToken' | 'kind'>> {
  row: Row;
  startedAt: Date;
  outcome: Outcome;
  next: NextStep;
}

export interface Claim<Row> {
  rows: Row[];
  /** Ids of rows that failed, because their worker died and nobody knows whether it sent them. */
  givenUp: string[];
}

/** What a worker is given to send rows of one kind. `Content` is what `compose` makes of a row. */
export interface Job<Row extends LeasedRow, Content> {
  /** What log lines call a row; also the log field with its id. */
  readonly noun: string;
  readonly table: JobTable;
  /** How many rows may be sent at the same time. */
  readonly lanes: number;
  /** Runs before the first claim and again after an outage, since somebody may have restored the database. */
  prepare(scope: Scope): Promise<void>;
  claim(scope: Scope, limit: number, leaseToken: string): Promise<Claim<Row>>;
  /**
   * Runs when nothing could be claimed, in case a broken transport has paused the queue.
   *
   * @param options.atOnce before the first claim succeeded: do not wait for the next regular probe.
   * @returns whether the pause was lifted.
   */
  probe?(stop: AbortSignal, options: { atOnce: boolean }): Promise<boolean>;
  /** Whether the row may have become unwanted since it was queued. */
  needsCheck?(row: Row): boolean;
  /** Whether the row must not be sent twice, even if nobody knows whether it was sent. */
  isAtMostOnce?(row: Row): boolean;
  /** Cancels the rows that nobody wants any more. @returns their ids. */
  cancelUnwanted?(scope: Scope, rows: readonly Row[]): Promise<ReadonlySet<string>>;
  /** Further log fields for everything logged about a row. */
  tags(row: Row): Readonly<Record<string, string>>;
  compose(scope: Scope, row: Row): Promise<Content>;
  /** Never throws. */
  send(content: Content, options: SendOptions): Promise<Outcome>;
  schedule(row: Row, outcome: Outcome): NextStep;
  /** Writes outcomes down, and is committed when it resolves. @returns the ids of the rows whose lease was not lost. */
  settle(scope: Scope, settlements: readonly Settlement[]): Promise<ReadonlySet<string>>;
  /** Whether nothing more may be sent for now, so that rows claimed ahead are returned. `away` is asked of `confirmAway`. */
  endsTurn(result: Outcome['result']): boolean;
  /** The transport is broken: pauses the queue, so that no other row meets the same error. Never throws. */
  pause?(scope: Scope, outcome: Outcome): Promise<unknown>;
  /**
   * No server answered an attempt: probes it once, and pauses the queue if it does not answer either. Never throws. Left out
   * if `settle` pauses the queue.
   */
  confirmAway?(stop: AbortSignal): Promise<'answers' | 'away' | 'paused'>;
  /** Ends every attempt that is still under way. */
  close?(): Promise<void>;
}
