import type { EntityManager } from '@mikro-orm/postgresql';

const sealsWith = 'seals with';
const nameOfPool = 'ruffinweb';
const nameOfListener = 'ruffinweb listener';

/**
 * A connection's name in `pg_stat_activity`, cut off after 63 bytes there: with the longest id of a key it has just
 * that many. By it `encryption rotate` sees which keys running programs seal with.
 */
export function nameConnection(
  name: typeof nameOfPool | typeof nameOfListener,
  sealingKey: string | undefined,
): string {
  if (sealingKey === undefined) return name;
  return name === nameOfListener ? `${name}, ${sealsWith} ${sealingKey}` : `${name} ${sealsWith} ${sealingKey}`;
}

/**
 * Which keys the programs seal with that are connected to this database at this moment.
 *
 * @returns `untold` where one of them does not say: its release is older, or it made its first key when it was connected.
 */
export async function readSealingKeys(em: EntityManager): Promise<{ keys: Set<string>; untold: boolean }> {
  const rows = await em.execute<{ name: string }[]>(
    `select distinct application_name as name from pg_stat_activity
     where datname = current_database() and application_name like 'ruffinweb%'`,
  );
  const keys = rows.map((row) => row.name.split(` ${sealsWith} `)[1]).filter((id) => id !== undefined);
  return { keys: new Set(keys), untold: rows.some((row) => row.name === nameOfPool || row.name === nameOfListener) };
}
