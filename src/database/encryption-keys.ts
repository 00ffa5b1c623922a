import type { EntityManager } from '@mikro-orm/postgresql';
import type { RetiredKey, StoredKey } from '../privacy/key-row.ts';
import type { Keyring } from '../privacy/keyring.ts';
import { type ConfiguredKey, checkKeys } from '../privacy/keyring-check.ts';

/** Lets one process at a time add keys, so that two first starts end with one blind index key. */
const keyLock = 7_226_944;

/**
 * Every key that this database knows: `stored` may be in use, and must be configured; `retired` sealed nothing when they
 * were retired. One that came back into use since is both.
 */
export async function readKeyRows(em: EntityManager): Promise<{ stored: UsedKey[]; retired: KeyAtRest[] }> {
  const rows = await em.execute<(StoredKey & { at: string; retired: boolean })[]>(
    `select id, canary, wrapped_index_key as "wrappedIndexKey", created_at as at, false as retired from encryption_keys
     union all select id, canary, null, retired_at, true from retired_keys
     order by at desc, id desc`,
  );
  return {
    stored: rows.filter((it) => !it.retired).map((it) => ({ ...it, createdAt: new Date(it.at) })),
    retired: rows.filter((it) => it.retired).map((it) => ({ ...it, retiredAt: new Date(it.at) })),
  };
}

type UsedKey = StoredKey & { createdAt: Date };
type KeyAtRest = RetiredKey & { retiredAt: Date };

/**
 * Compares the configured keys with the database's and writes down the new ones.
 *
 * @throws {KeysWrong} and nothing is written then.
 */
export async function loadKeyring(em: EntityManager, configured: readonly ConfiguredKey[]): Promise<Keyring> {
  const { stored, retired } = await readKeyRows(em.fork());
  const { keyring, missing } = checkKeys(configured, stored, retired);
  if (missing.length === 0) return keyring;
  return await changeKeys(em, async (locked) => {
    const now = await readKeyRows(locked);
    const checked = checkKeys(configured, now.stored, now.retired);
    for (const row of checked.missing) await writeKey(locked, row);
    return checked.keyring;
  });
}

/**
 * The same question before a migration, asked of whatever schema there is. Writes nothing.
 *
 * @throws {KeysWrong}
 */
export async function requireFitKeys(em: EntityManager, configured: readonly ConfiguredKey[]): Promise<void> {
  const [found] = await em.execute<{ exists: boolean }[]>(
    `select to_regclass('encryption_keys') is not null as exists`,
  );
  if (found?.exists !== true) return;
  // Named one by one: what a later release keeps beside them is not there yet.
  const stored = await em.execute<StoredKey[]>(
    'select id, canary, wrapped_index_key as "wrappedIndexKey" from encryption_keys',
  );
  if (stored.length > 0) checkKeys(configured, stored);
}

/** Whether anything in this database may be sealed already. */
export async function hasStoredKeys(em: EntityManager): Promise<boolean> {
  return (await readKeyRows(em.fork())).stored.length > 0;
}

/**
 * From now on a start need not have this key.
 *
 * @param kept the key that everything is sealed with: written down with it, should another rotation have retired that one
 *   meanwhile. Without any row the key of all keyed hashes would be lost.
 */
export async function retireKey(em: EntityManager, id: string, kept: StoredKey): Promise<void> {
  await changeKeys(em, async (locked) => {
    await writeKey(locked, kept);
    await locked.execute(
      `with gone as (delete from encryption_keys where id = ? returning id, canary)
       insert into retired_keys (id, canary) select id, canary from gone
       on conflict (id) do update set canary = excluded.canary, retired_at = excluded.retired_at`,
      [id],
    );
  });
}

/** Writes down that a key is in use, maybe again. */
export async function keepKey(em: EntityManager, row: StoredKey): Promise<void> {
  await changeKeys(em, (locked) => writeKey(locked, row));
}

/** That it was retired once stays on record: by that it is known to be no new one. */
async function writeKey(locked: EntityManager, row: StoredKey): Promise<void> {
  await locked.execute(
    'insert into encryption_keys (id, canary, wrapped_index_key) values (?, ?, ?) on conflict (id) do nothing',
    [row.id, Buffer.from(row.canary), Buffer.from(row.wrappedIndexKey)],
  );
}

async function changeKeys<T>(em: EntityManager, change: (locked: EntityManager) => Promise<T>): Promise<T> {
  return await em.fork().transactional(async (locked) => {
    await locked.execute(`select pg_advisory_xact_lock(${keyLock})`);
    return await change(locked as EntityManager);
  });
}
