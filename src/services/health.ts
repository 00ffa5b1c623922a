import { statfs } from 'node:fs/promises';
import type { EntityManager } from '@mikro-orm/postgresql';
import type { Config } from '../config.ts';
import { readKeyRows } from '../database/encryption-keys.ts';
import { readSchemaStatus } from '../database/migrate.ts';
import { Email } from '../entities/index.ts';
import type { Mailer } from '../mail/mailer.ts';
import type { Keyring } from '../privacy/keyring.ts';
import { type ConfiguredKey, checkKeys, KeysWrong } from '../privacy/keyring-check.ts';
import { Problem } from '../problems.ts';
import { checkClock, deepChecks } from './deep-health.ts';
import { idsOf } from './paging.ts';
import { describePause, readPause } from './queue-pause.ts';
import { oldestDueSeconds } from './readiness.ts';
import { requireFitSchema } from './schema.ts';

export type HealthStatus = 'ok' | 'warn' | 'fail';

export interface HealthCheck {
  name:
    | 'database'
    | 'durability'
    | 'schema'
    | 'keys'
    | 'queue'
    | 'failed'
    | 'held'
    | 'mail'
    | 'disk'
    | 'redis'
    | 'clock'
    | 'spf'
    | 'dkim'
    | 'dmarc'
    | 'mx'
    | 'smtp'
    | 'smtp-ports';
  status: HealthStatus;
  /** What was seen. */
  fact: string;
  /** What to do about it; null where there is nothing to do. */
  fix: string | null;
}

export interface Health {
  /** That of the worst check. */
  status: HealthStatus;
  checks: HealthCheck[];
}

/** What can be looked at. A part that could not be had is a function that throws the reason. */
export interface HealthParts {
  config: Config;
  now: () => Date;
  database: () => EntityManager;
  /** The configured keys; undefined where none have been made yet. */
  keys: () => readonly ConfiguredKey[] | undefined;
  mailer: () => Mailer;
  /** How the Redis answers in which limits are shared; undefined where none is configured. */
  redis: (() => Promise<{ version: string; tookMs: number }>) | undefined;
  /** What an error means, in words for the operator. */
  explain: (error: unknown) => string;
}

/**
 * Looks at everything that delivering depends on. Changes no row, and a check that fails hides no other.
 *
 * @param options.deep also asks the DNS and tries ports, which takes seconds.
 */
export async function checkHealth(parts: HealthParts, options: { deep?: boolean } = {}): Promise<Health> {
  const database = await look(parts, 'database', () => checkDatabase(parts));
  // Asking a database that is away over and over would only make the operator wait.
  const ask = (name: HealthCheck['name'], check: (em: EntityManager) => Promise<HealthCheck>) =>
    database.status === 'fail' ? unknown(name) : look(parts, name, () => check(parts.database().fork()));
  const checks = await Promise.all([
    database,
    ask('durability', checkDurability),
    ask('schema', checkSchema),
    ask('keys', (em) => checkKeyring(parts, em)),
    ask('queue', (em) => checkQueue(parts, em)),
    ask('failed', (em) => checkFailed(parts, em)),
    ask('held', checkHeld),
    look(parts, 'mail', () => checkMail(parts)),
    look(parts, 'disk', () => checkDisk(parts)),
    ...(parts.redis === undefined ? [] : [checkRedis(parts.redis)]),
    ...(options.deep ? [ask('clock', (em) => checkClock(parts, em)), ...deepChecks(parts)] : []),
  ]);
  const worst = (['fail', 'warn'] as const).find((status) => checks.some((it) => it.status === status));
  return { status: worst ?? 'ok', checks };
}

async function look(
  parts: HealthParts,
  name: HealthCheck['name'],
  check: () => Promise<HealthCheck>,
): Promise<HealthCheck> {
  try {
    return await check();
  } catch (error) {
    return { name, status: 'fail', fact: parts.explain(error), fix: null };
  }
}

function unknown(name: HealthCheck['name']): HealthCheck {
  return { name, status: 'fail', fact: 'not known without the database', fix: null };
}

function good(name: HealthCheck['name'], fact: string): HealthCheck {
  return { name, status: 'ok', fact, fix: null };
}

async function checkDatabase(parts: HealthParts): Promise<HealthCheck> {
  const em = parts.database().fork();
  const [row] = await em.execute<{ version: string; number: number; name: string; ours: number; most: number }[]>(
    `select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
       current_database() as name, (select count(*)::int from pg_stat_activity) as ours,
       current_setting('max_connections')::int as most`,
  );
  // The first question opened the connection; this one tells how far away the database is.
  const startedAt = performance.now();
  await em.execute('select 1');
  const tookMs = performance.now() - startedAt;
  const version = row?.version.split(' ')[0] ?? '';
  const fact = `PostgreSQL ${version}, database ${row?.name}, answers in ${tookMs.toFixed(1)} ms`;
  if ((row?.number ?? 0) < 150_000) {
    return { name: 'database', status: 'fail', fact, fix: 'upgrade to PostgreSQL 15 or newer' };
  }
  if (tookMs > 250)
    return { name: 'database', status: 'warn', fact, fix: 'find out what keeps it busy, or move it closer' };
  return good('database', fact);
}

/** An answer of 201 promises that the message survives a power cut. */
async function checkDurability(em: EntityManager): Promise<HealthCheck> {
  const names = ['fsync', 'full_page_writes', 'synchronous_commit'];
  const rows = await em.execute<{ name: string; setting: string }[]>(
    `select name, setting from pg_settings where name in ('fsync', 'full_page_writes', 'synchronous_commit')`,
  );
  const settings = new Map(rows.map((row) => [row.name, row.setting]));
  const fact = names.map((name) => `${name} ${settings.get(name)}`).join(', ');
  const off = names.filter((name) => settings.get(name) === 'off');
  if (off.length === 0) return good('durability', fact);
  // Some file systems never tear a page, so that this one alone may be off for a good reason.
  const status = off.every((name) => name === 'full_page_writes') ? 'warn' : 'fail';
  return {
    name: 'durability',
    status,
    fact,
    fix: `stored messages can be lost in a power cut: set ${off.join(' and ')} to on`,
  };
}

async function checkSchema(em: EntityManager): Promise<HealthCheck> {
  const status = await readSchemaStatus(em);
  try {
    const warning = requireFitSchema(status);
    if (warning === undefined) return good('schema', `up to date (${status.applied.at(-1)?.name})`);
    return { name: 'schema', status: 'warn', fact: warning, fix: null };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    const fix = error.code === 'schema-behind' ? 'ruffinweb migrate up' : null;
    return { name: 'schema', status: 'fail', fact: error.message.replace(/: run .*/, ''), fix };
  }
}

async function checkKeyring(parts: HealthParts, em: EntityManager): Promise<HealthCheck> {
  const { stored, retired } = await readKeyRows(em);
  const configured = parts.keys();
  if (configured === undefined) {
    if (stored.length === 0) return good('keys', 'none yet: the first start makes one');
    return {
      name: 'keys',
      status: 'fail',
      fact: `the database was written with ${stored.map((it) => it.id).join(', ')}, and there is no key`,
      fix: 'put the keys back: ENCRYPTION_KEYS, or the file encryption.keys in DATA_DIR',
    };
  }
  try {
    const { keyring, missing } = checkKeys(configured, stored, retired);
    const news = missing.length === 0 ? '' : `; ${missing.map((it) => it.id).join(', ')} not used yet`;
    return good('keys', `${keyring.newestId} seals, ${configured.length} can open${news}`);
  } catch (error) {
    if (!(error instanceof KeysWrong)) throw error;
    return {
      name: 'keys',
      status: 'fail',
      fact: error.message,
      fix: 'put the keys back that the database was written with',
    };
  }
}

const lateSeconds = { warn: 2 * 60, fail: 15 * 60 };

async function checkQueue(parts: HealthParts, em: EntityManager): Promise<HealthCheck> {
  const pause = await readPause(em, await openKeyring(parts, em));
  const [waiting, oldest] = [await em.count(Email, { state: 'queued' }), await oldestDueSeconds({ em })];
  const fact =
    waiting === 0
      ? 'empty'
      : `${waiting} queued${oldest >= 1 ? `, the oldest overdue by ${formatSeconds(oldest)}` : ', none overdue'}`;
  if (pause !== null) {
    const why = describePause(pause);
    const status = pause.cause === 'hand' ? 'warn' : 'fail';
    return { name: 'queue', status, fact: `${why.fact}, since ${pause.since}; ${fact}`, fix: why.fix };
  }
  if (oldest < lateSeconds.warn) return good('queue', fact);
  return {
    name: 'queue',
    status: oldest < lateSeconds.fail ? 'warn' : 'fail',
    fact,
    fix: 'nothing delivers, or not fast enough: is "ruffinweb serve" or "ruffinweb deliver" running? Look at its log',
  };
}

/** Undefined where the keys cannot be had: the check of the keys says so. */
async function openKeyring(parts: HealthParts, em: EntityManager): Promise<Keyring | undefined> {
  try {
    const configured = parts.keys();
    if (configured === undefined) return undefined;
    const { stored, retired } = await readKeyRows(em);
    return checkKeys(configured, stored, retired).keyring;
  } catch {
    return undefined;
  }
}

const failedDays = 7;

async function checkFailed(parts: HealthParts, em: EntityManager): Promise<HealthCheck> {
  const since = new Date(parts.now().getTime() - failedDays * 24 * 60 * 60 * 1000);
  const count = await em.count(Email, { state: 'failed', id: idsOf({ since }) ?? {}, createdAt: { $gte: since } });
  if (count === 0) return good('failed', `none in the last ${failedDays} days`);
  return {
    name: 'failed',
    status: 'warn',
    fact: `${count} ${count === 1 ? 'email' : 'emails'} in the last ${failedDays} days`,
    fix: 'ruffinweb emails list --state failed, then ruffinweb emails resend --failed',
  };
}

/** A person waits for an answer behind each that was held for no good reason. */
async function checkHeld(em: EntityManager): Promise<HealthCheck> {
  const [row] = await em.execute<{ held: number; old: number }[]>(
    `select count(*)::int as held, (count(*) filter (where received_at < now() - interval '1 day'))::int as old
     from messages where status = 'held'`,
  );
  const { held = 0, old = 0 } = row ?? {};
  if (held === 0) return good('held', 'none');
  const fact = `${held} held, ${old} of them longer than a day`;
  if (old === 0) return good('held', fact);
  return { name: 'held', status: 'warn', fact, fix: 'ruffinweb messages list --status held' };
}

async function checkMail(parts: HealthParts): Promise<HealthCheck> {
  const mailer = parts.mailer();
  const outcome = await mailer.verify();
  if (outcome.result === 'accepted') {
    return good(
      'mail',
      parts.config.smtp === undefined ? `${mailer.describes} (SMTP_HOST is not set)` : `${mailer.describes} lets us in`,
    );
  }
  return {
    name: 'mail',
    status: 'fail',
    fact: `${mailer.describes}: ${outcome.reply}`,
    fix:
      parts.config.smtp === undefined
        ? 'make the folder writable, or set DATA_DIR'
        : 'mend SMTP_HOST, SMTP_PORT, SMTP_USER or SMTP_PASSWORD',
  };
}

/** Never a failure: without it posts are taken all the same. */
async function checkRedis(describe: NonNullable<HealthParts['redis']>): Promise<HealthCheck> {
  try {
    const { version, tookMs } = await describe();
    return good('redis', `Redis ${version} answers in ${tookMs.toFixed(1)} ms`);
  } catch (error) {
    return {
      name: 'redis',
      status: 'warn',
      fact: `Redis does not answer: ${(error as Error).message}; each server counts limits for itself`,
      fix: 'start Redis, or mend REDIS_URL',
    };
  }
}

const mebibyte = 1024 * 1024;

async function checkDisk(parts: HealthParts): Promise<HealthCheck> {
  const { dataDir } = parts.config;
  const disk = await statfs(dataDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (disk === undefined) return good('disk', `${dataDir} is not there yet`);
  const free = disk.bavail * disk.bsize;
  const share = disk.blocks === 0 ? 1 : disk.bavail / disk.blocks;
  const fact = `${formatBytes(free)} free (${Math.round(share * 100)} %) at ${dataDir}`;
  const fix = 'make room, or move DATA_DIR';
  if (free < 200 * mebibyte) return { name: 'disk', status: 'fail', fact, fix };
  if (free < 1024 * mebibyte || share < 0.05) return { name: 'disk', status: 'warn', fact, fix };
  return good('disk', fact);
}

function formatBytes(bytes: number): string {
  const gibibytes = bytes / (1024 * mebibyte);
  return gibibytes >= 1 ? `${gibibytes.toFixed(1)} GiB` : `${Math.round(bytes / mebibyte)} MiB`;
}

function formatSeconds(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
