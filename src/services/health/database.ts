import type { EntityManager } from '@mikro-orm/postgresql';
import { checkStoredKeys, readStoredKeys } from '../../database/encryption-keys.ts';
import { readSchemaStatus } from '../../database/migrate.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import { KeysWrong } from '../../privacy/keyring-check.ts';
import { Problem } from '../../problems.ts';
import { requireFitSchema } from '../schema.ts';
import { good, type HealthCheck, type HealthParts } from './health-check.ts';

export async function checkDatabase(parts: HealthParts): Promise<HealthCheck> {
  const em = parts.database().fork();
  const [row] = await em.execute<{ version: string; number: number; name: string }[]>(
    `select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
       current_database() as name`,
  );
  // The first statement opened the connection. This one measures the way to the database.
  const startedAt = performance.now();
  await em.execute('select 1');
  const tookMs = performance.now() - startedAt;
  const version = row?.version.split(' ')[0] ?? '';
  const fact = `PostgreSQL ${version}, database ${row?.name}, answers in ${tookMs.toFixed(1)} ms`;
  if ((row?.number ?? 0) < 150_000) {
    return { name: 'database', status: 'fail', fact, fix: 'upgrade to PostgreSQL 15 or newer' };
  }
  const closed = await findUnfitSetting(em);
  if (closed !== undefined)
    return { name: 'database', status: 'fail', fact: `${fact}, but ${closed.fact}`, fix: closed.fix };
  if (tookMs > 250)
    return { name: 'database', status: 'warn', fact, fix: 'find out why it is busy, or move it closer' };
  return good('database', fact);
}

/** Finds a setting of the server, database or role that we cannot work with. */
async function findUnfitSetting(em: EntityManager): Promise<Pick<HealthCheck, 'fact' | 'fix'> | undefined> {
  const [row] = await em.execute<{ closed: boolean; isolation: string; dates: string }[]>(
    `select current_setting('transaction_read_only') = 'on' as closed,
       current_setting('default_transaction_isolation') as isolation, current_setting('DateStyle') as dates`,
  );
  if (row?.closed) {
    return {
      fact: 'it takes no writes: it is a standby, or default_transaction_read_only is on',
      fix: 'set DATABASE_URL to the primary, or default_transaction_read_only to off',
    };
  }
  if (row !== undefined && row.isolation !== 'read committed') {
    return {
      fact: `default_transaction_isolation is ${row.isolation}, which makes posts at the same time fail`,
      fix: `ALTER ROLE or ALTER DATABASE … SET default_transaction_isolation = 'read committed', then restart`,
    };
  }
  if (row !== undefined && !row.dates.startsWith('ISO')) {
    return {
      fact: `DateStyle is ${row.dates}, and we only read ISO dates`,
      fix: `ALTER ROLE or ALTER DATABASE … SET DateStyle = 'ISO', then restart`,
    };
  }
  return undefined;
}

/** A 201 promises that the message survives a power cut. */
export async function checkDurability(em: EntityManager): Promise<HealthCheck> {
  const names = ['fsync', 'full_page_writes', 'synchronous_commit'];
  const rows = await em.execute<{ name: string; setting: string }[]>(
    `select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')`,
  );
  const settings = new Map(rows.map((row) => [row.name, row.setting]));
  const fact = names.map((name) => `${name} ${settings.get(name)}`).join(', ');
  const off = names.filter((name) => settings.get(name) === 'off');
  if (off.length === 0) return good('durability', fact);
  // Some file systems never write half a page, so full_page_writes alone may be off for a good reason.
  const status = off.every((name) => name === 'full_page_writes') ? 'warn' : 'fail';
  return {
    name: 'durability',
    status,
    fact,
    fix: `stored messages can be lost in a power cut: set ${off.join(' and ')} to on`,
  };
}

export async function checkSchema(em: EntityManager): Promise<HealthCheck> {
  const status = await readSchemaStatus(em);
  try {
    const warning = requireFitSchema(status);
    if (warning === undefined) return good('schema', `up to date (${status.applied.at(-1)?.name})`);
    return { name: 'schema', status: 'warn', fact: warning, fix: null };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const advice = error.code === 'schema-behind' ? 'migrate-up' : 'migrate-down-first';
    return { name: 'schema', status: 'fail', fact: error.message, fix: null, advice };
  }
}

export async function checkKeyring(parts: HealthParts, em: EntityManager): Promise<HealthCheck> {
  const configured = parts.keys();
  if (configured === undefined) {
    const stored = await readStoredKeys(em);
    if (stored.length === 0) return good('keys', 'none yet: the first start makes one');
    return {
      name: 'keys',
      status: 'fail',
      fact: `the database was written with ${stored.map((it) => it.id).join(', ')}, but no key is configured`,
      fix: 'restore the keys: ENCRYPTION_KEYS, or the file encryption.keys in DATA_DIR',
    };
  }
  try {
    const { keyring, newRow } = await checkStoredKeys(em, configured);
    const news = newRow === undefined ? '' : `; ${newRow.id} not used yet`;
    return good('keys', `${keyring.newestId} seals, ${configured.length} can open${news}`);
  } catch (error) {
    if (!(error instanceof KeysWrong)) throw error;
    return {
      name: 'keys',
      status: 'fail',
      fact: error.message,
      fix: 'restore the keys that the database was written with',
    };
  }
}

/** Undefined if the keys cannot be read; `checkKeyring` reports that. */
export async function openKeyring(parts: HealthParts, em: EntityManager): Promise<Keyring | undefined> {
  try {
    const configured = parts.keys();
    if (configured === undefined) return undefined;
    return (await checkStoredKeys(em, configured)).keyring;
  } catch {
    return undefined;
  }
}
