import type { EntityManager } from '@mikro-orm/postgresql';
import type { Scope } from './scope.ts';

/** The database's time, which leases and due times are measured by; also within a transaction that has waited. */
export async function databaseNow(em: EntityManager): Promise<Date> {
  const [row] = await em.execute<{ ms: number }[]>(
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
  );
  return new Date(row?.ms ?? Number.NaN);
}

/** By how much the clocks of this process and of the database may differ where something is to be removed by its age. */
const clocksMayDifferMs = 60 * 60_000;

/**
 * A clock that has jumped a year ahead would make everything a year older. Which of the two is wrong nobody knows, so
 * nothing is to be removed until they agree.
 *
 * @returns by how much the database's is ahead, in milliseconds; 0 where they agree well enough.
 */
export async function clocksDifferBy(scope: Pick<Scope, 'em' | 'now'>): Promise<number> {
  const aheadMs = (await databaseNow(scope.em)).getTime() - scope.now().getTime();
  return Math.abs(aheadMs) > clocksMayDifferMs ? aheadMs : 0;
}
/**
 * Whether a moment lies in years that every part of this program can write: the clocks of ids begin with 1970, and a
 * year of more than four digits PostgreSQL does not read as JavaScript writes it.
 */
export function isInKnownYears(at: Date): boolean {
  const year = at.getUTCFullYear();
  return year >= 1970 && year <= 9999;
}
