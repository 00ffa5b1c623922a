import type { EntityManager } from '@mikro-orm/postgresql';
import { checkStoredKeys, readStoredKeys } from '../../database/encryption-keys.ts';
import { readSchemaStatus } from '../../database/migrate.ts';
import { tryWrite } from '../../database/try-write.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import { KeysWrong } from '../../privacy/keyring-check.ts';
import { Problem } from '../../problems.ts';
import { planStoring } from '../intake/write-access.ts';
import { requireFitSchema } from '../schema.ts';
import { bad, type Finding, good, type HealthParts } from './health-check.ts';

interface DatabaseRow {
  version: string;
  version_number: number;
  name: string;
  is_read_only: boolean;
  isolation: string;
  date_style: string;
  encoding: string;
}

/** Also finds settings of the server, database or role that we cannot work with. */
export async function checkDatabase(parts: HealthParts): Promise<Finding> {
  const em = parts.database().fork();
  const [row] = await em.execute<DatabaseRow[]>(
    `select current_setting('server_version') as version, current_setting('server_version_num')::int as version_number,
       current_database() as name, current_setting('transaction_read_only') = 'on' as is_read_only,
       current_setting('default_transaction_isolation') as isolation, current_setting('DateStyle') as date_style,
       current_setting('server_encoding') as encoding`,
  );
  if (row === undefined) throw new Error('a select without a table returns one row');
  // The first statement opened the connection. This one measures the round trip.
  const startedAt = performance.now();
  await em.execute('select 1');
  const tookMs = performance.now() - startedAt;
  const fact = `PostgreSQL ${row.version.split(' ')[0]}, database ${row.name}, answers in ${tookMs.toFixed(1)} ms`;
  if (row.version_number < 150_000) return bad('fail', fact, 'upgrade to PostgreSQL 15 or newer');
  if (row.is_read_only) {
    return bad(
      'fail',
      `${fact}, but it is read-only: a standby, or default_transaction_read_only is on`,
      'set DATABASE_URL to the primary, or default_transaction_read_only to off',
    );
  }
  if (row.isolation !== 'read committed') {
    return bad(
      'fail',
      `${fact}, but default_transaction_isolation is ${row.isolation}, which makes simultaneous posts fail`,
      `ALTER ROLE or ALTER DATABASE … SET default_transaction_isolation = 'read committed', then restart`,
    );
  }
  if (!row.date_style.startsWith('ISO')) {
    return bad(
      'fail',
      `${fact}, but DateStyle is ${row.date_style}, and we only read ISO dates`,
      `ALTER ROLE or ALTER DATABASE … SET DateStyle = 'ISO', then restart`,
    );
  }
  if (row.encoding !== 'UTF8') {
    return bad(
      'warn',
      `${fact}, but its encoding is ${row.encoding}, so some recipients' addresses cannot be stored`,
      `create a database with ENCODING 'UTF8', and move everything there with pg_dump`,
    );
  }
  if (tookMs > 250) return bad('warn', fact, 'find out why it is busy, or move it closer');
  return good(fact);
}

/** A full disk and a missing right to insert let reads succeed. */
export async function checkWrites(em: EntityManager): Promise<Finding> {
  await planStoring(em);
  if (await tryWrite(em)) return good('the database takes writes and has space');
  return bad(
    'warn',
    'not tried: our role may not create temporary tables',
    'GRANT TEMPORARY ON DATABASE … TO that role',
  );
}

/** A 201 promises that the message survives a power cut. */
export async function checkDurability(em: EntityManager): Promise<Finding> {
  const rows = await em.execute<{ name: string; setting: string }[]>(
    `select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit') order by name`,
  );
  const fact = rows.map(({ name, setting }) => `${name} ${setting}`).join(', ');
  const off = rows.filter(({ setting }) => setting === 'off').map(({ name }) => name);
  if (off.length === 0) return good(fact);
  // Some file systems never write half a page, so full_page_writes alone may be off for a good reason.
  const status = off.every((name) => name === 'full_page_writes') ? 'warn' : 'fail';
  return bad(status, fact, `stored messages can be lost in a power cut: set ${off.join(' and ')} to on`);
}

/** Of an empty database. */
export const noSchema = 'the database has no schema yet';

export async function checkSchema(em: EntityManager): Promise<Finding> {
  const status = await readSchemaStatus(em);
  if (status.applied.length === 0) return bad('fail', noSchema, null, 'migrate-up');
  try {
    const warning = requireFitSchema(status);
    if (warning === undefined) return good(`up to date (${status.applied.at(-1)?.name})`);
    return bad('warn', warning, null);
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return bad('fail', error.message, null, error.code === 'schema-behind' ? 'migrate-up' : 'migrate-down-first');
  }
}

export async function checkKeyring(parts: HealthParts, em: EntityManager): Promise<Finding> {
  const configured = parts.keys();
  if (configured === undefined) {
    const stored = await readStoredKeys(em);
    if (stored.length === 0) return good('none yet: the first start makes one');
    const fact = `the database was encrypted with ${stored.map((it) => it.id).join(', ')}, but no key is configured`;
    return bad('fail', fact, 'restore the keys: ENCRYPTION_KEYS, or the file encryption.keys in DATA_DIR');
  }
  try {
    const { keyring, newRow } = await checkStoredKeys(em, configured);
    const unused = newRow === undefined ? '' : `; ${newRow.id} not used yet`;
    return good(`${keyring.newestId} encrypts, ${configured.length} can decrypt${unused}`);
  } catch (error) {
    if (!(error instanceof KeysWrong)) throw error;
    return bad('fail', error.message, 'restore the keys that the database was encrypted with');
  }
}

/** Undefined if the keys cannot be read; `checkKeyring` reports that. */
export async function openKeyring(parts: HealthParts, em: EntityManager): Promise<Keyring | undefined> {
  try {
    const configured = parts.keys();
    return configured && (await checkStoredKeys(em, configured)).keyring;
  } catch {
    return undefined;
  }
}
