import type { EntityManager } from '@mikro-orm/postgresql';
import { msSql } from '../database/statement.ts';
import type { Scope } from './scope.ts';

export const dayMs = 24 * 60 * 60_000;

/** A day in somebody's time zone: `2026-11-22`, and when it starts. */
export interface Day {
  day: string;
  start: Date;
}

/** In milliseconds. */
export const spanUnits: Readonly<Record<string, number>> = {
  w: 7 * dayMs,
  d: dayMs,
  h: dayMs / 24,
  min: 60_000,
  m: 60_000,
  s: 1000,
};

/** In the largest unit that fits, rounded down: 90 seconds are `1 min`. */
export function formatSpan(ms: number): string {
  const unit = ['d', 'h', 'min'].find((it) => ms >= (spanUnits[it] ?? 0)) ?? 's';
  return `${Math.floor(ms / (spanUnits[unit] ?? 1000))} ${unit}`;
}

/** The database's current time, which decides leases and due times. Unlike `now()` it moves within a transaction. */
export async function databaseNow(em: EntityManager): Promise<Date> {
  const [row] = await em.execute<{ ms: number }[]>(`select ${msSql('clock_timestamp()')} as ms`);
  return new Date(row?.ms ?? Number.NaN);
}

/** How far the clocks of this process and the database may differ before nothing is deleted by age. */
const maxDifferenceMs = 60 * 60_000;

/**
 * A clock that jumps a year ahead would make everything a year older. Nobody knows which of the two is wrong, so nothing
 * may be deleted until they agree.
 *
 * @returns how far the database's clock is ahead, in milliseconds; 0 if they agree well enough.
 */
export async function clocksDifferBy(scope: Pick<Scope, 'em' | 'now'>): Promise<number> {
  const aheadMs = (await databaseNow(scope.em)).getTime() - scope.now().getTime();
  return Math.abs(aheadMs) > maxDifferenceMs ? aheadMs : 0;
}
/**
 * Whether every part of this program can write this time: the clock of ids begins in 1970, and PostgreSQL does not read a
 * year of more than four digits as JavaScript writes it.
 */
export function isInKnownYears(at: Date): boolean {
  const year = at.getUTCFullYear();
  return year >= 1970 && year <= 9999;
}
