import type { EntityManager } from '@mikro-orm/postgresql';
import { readSealedTables, sealedRows } from '../../database/encryption-keys.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import { placesOf, sealedTables } from '../../privacy/sealed-columns.ts';
import { openOrNull } from '../sealed-values.ts';
import { openKeyring } from './database.ts';
import { bad, type Finding, good, type HealthParts } from './health-check.ts';

/** Rows of each table, the newest ones: a wrong key or a careless program shows there first. */
const sampledRows = 20;

/** Whether encrypted values can be decrypted: their key may be missing, or something has changed them. */
export async function checkSealed(parts: HealthParts, em: EntityManager): Promise<Finding> {
  return await checkSamples(em, await openKeyring(parts, em));
}

export async function checkSamples(em: EntityManager, keyring: Keyring | undefined): Promise<Finding> {
  let tried = 0;
  const broken = new Map<string, number>();
  for (const table of await readSealedTables(em)) {
    const columns = sealedTables[table].columns;
    const rows = await em.execute<({ id: string } & Record<string, Uint8Array | null>)[]>(
      `select id::text, ${columns.join(', ')} from ${sealedRows(table)} order by ${table}.id desc limit ${sampledRows}`,
    );
    for (const place of rows.flatMap((row) =>
      placesOf(table, row.id).map((it) => ({ ...it, value: row[it.column] })),
    )) {
      if (place.value == null) continue;
      tried += 1;
      const { value } = place;
      const where = `${place.table}.${place.column}`;
      if (keyring && openOrNull(() => keyring.open(value, place)) === null)
        broken.set(where, (broken.get(where) ?? 0) + 1);
    }
  }
  if (tried === 0) return good('nothing is encrypted yet');
  if (keyring === undefined) return bad('warn', 'unknown without the keys', null);
  if (broken.size === 0) return good(`the newest ${tried} encrypted values can be decrypted`);
  const which = [...broken].map(([where, count]) => `${count} in ${where}`).join(', ');
  return bad(
    'fail',
    `of the newest ${tried} encrypted values, some cannot be decrypted: ${which}`,
    'restore the missing key, or these rows from a backup',
    'look-at-keys',
  );
}
