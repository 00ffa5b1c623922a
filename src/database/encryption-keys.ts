import type { EntityManager } from '@mikro-orm/postgresql';
import { EncryptionKey } from '../entities/index.ts';
import type { Keyring } from '../privacy/keyring.ts';
import { type ConfiguredKey, checkKeys } from '../privacy/keyring-check.ts';

/** Lets one process at a time add keys, so that two first starts end with one blind index key. */
const keyLock = 7_226_944;

/**
 * Compares the configured keys with the database's and writes down the new ones.
 *
 * @throws {KeysWrong} and nothing is written then.
 */
export async function loadKeyring(em: EntityManager, configured: readonly ConfiguredKey[]): Promise<Keyring> {
  const { keyring, missing } = checkKeys(configured, await em.fork().findAll(EncryptionKey));
  if (missing.length === 0) return keyring;
  return await em.fork().transactional(async (locked) => {
    await locked.execute(`select pg_advisory_xact_lock(${keyLock})`);
    const checked = checkKeys(configured, await locked.findAll(EncryptionKey));
    for (const row of checked.missing) {
      locked.create(EncryptionKey, {
        id: row.id,
        canary: Buffer.from(row.canary),
        wrappedIndexKey: Buffer.from(row.wrappedIndexKey),
      });
    }
    return checked.keyring;
  });
}

/** Whether anything in this database may be sealed already. */
export async function hasStoredKeys(em: EntityManager): Promise<boolean> {
  return (await em.fork().count(EncryptionKey)) > 0;
}
