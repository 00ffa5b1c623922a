import type { EntityManager } from '@mikro-orm/postgresql';

/** The database's time, which leases and due times are measured by; also within a transaction that has waited. */
export async function databaseNow(em: EntityManager): Promise<Date> {
  const [row] = await em.execute<{ ms: number }[]>(
    'select (extract(epoch from clock_timestamp()) * 1000)::float8 as ms',
  );
  return new Date(row?.ms ?? Number.NaN);
}
