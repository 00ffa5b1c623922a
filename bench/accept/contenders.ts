import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Load } from '../support/load.ts';
import { type Machine, query } from '../support/machine.ts';
import { launcher, type Running, startServer } from '../support/program.ts';

const run = promisify(execFile);
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Every guard is on, as in production, with a rate limit that the load generator does not reach. */
export const settings = {
  PORT: '0',
  ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
  NOTIFY_TO: 'owner@site.test',
  RATE_LIMIT: '999999/1m',
  LOG_LEVEL: 'info',
  LOG_FORMAT: 'json',
  METRICS_TOKEN: 'a-token-of-the-benchmark',
};

/** What our launcher sets, so that the other contenders run with the same Node options. */
const asLaunched = { nodeOptions: launcherLimits(), env: { MALLOC_ARENA_MAX: '2' } };

function launcherLimits(): string[] {
  const [, list = ''] = /const limits = \[(.*?)\];/s.exec(readFileSync(launcher, 'utf8')) ?? [];
  const limits = [...list.matchAll(/'([^']*)'/g)].map(([, limit]) => limit as string);
  if (limits.length === 0) throw new Error(`${launcher} has no list of Node options`);
  return limits;
}

/** The whole program. */
export async function startOurs(
  machine: Machine,
  { name = 'ours', nodeOptions }: { name?: string; nodeOptions?: readonly string[] } = {},
): Promise<Running> {
  const env = { ...settings, DATABASE_URL: await machine.createDatabase(name) };
  return await startServer(name, { folder: machine.folder, env, ...(nodeOptions && { nodeOptions }) });
}

/** The same app with a store that keeps nothing. */
export async function startStackAlone(machine: Machine): Promise<Running> {
  const env = { ...settings, ...asLaunched.env, DATABASE_URL: await machine.createDatabase('alone') };
  const command = [process.execPath, ...asLaunched.nodeOptions, here('stack-alone.ts')] as const;
  return await startServer('stack-alone', { folder: machine.folder, env, command });
}

export async function startBareKoa(machine: Machine): Promise<Running> {
  const command = [process.execPath, here('bare-koa.ts')] as const;
  return await startServer('bare-koa', { folder: machine.folder, env: {}, command });
}

/**
 * The same task written with Django REST framework, under gunicorn with four workers.
 *
 * @param settings `settings` keeps connections and loads little; `startproject` is Django's default.
 */
export async function startDjango(machine: Machine, settings: 'settings' | 'startproject'): Promise<Running> {
  const name = `django_${settings}`;
  const env = {
    DATABASE_URL: await machine.createDatabase(name, { empty: true }),
    DJANGO_SETTINGS_MODULE: settings,
    PYTHONPATH: here('../django'),
    PYTHONDONTWRITEBYTECODE: '1',
  };
  await run('/usr/bin/python3', [here('../django/create_tables.py')], { env });
  const server = ['--workers=4', '--bind=127.0.0.1:0', '--log-file=-', '--keep-alive=5', 'wsgi:application'];
  // It prints its address on stderr, with its log.
  const command = ['/bin/sh', '-c', `exec /usr/bin/python3 -m gunicorn ${server.join(' ')} 2>&1`] as const;
  return await startServer(name, { folder: machine.folder, env, command });
}

/** pgbench runs a transaction of three statements per post, on tables like ours. */
export async function openThreeStatements(
  machine: Machine,
): Promise<(clients: number, seconds: number) => Promise<Load>> {
  const url = await machine.createDatabase('three');
  const [form] = await query<{ id: string }>(url, 'select id from forms');
  const fixed = ['-n', '-M', 'prepared', '-f', here('three-statements.sql'), '-D', `form=${form?.id}`];
  return async (clients, seconds) => {
    const { stdout } = await run('pgbench', [...fixed, '-c', String(clients), '-T', String(seconds), url]);
    const perSecond = Number(/tps = ([\d.]+)/.exec(stdout)?.[1]);
    if (!(perSecond > 0)) throw new Error(`pgbench printed no rate: ${stdout}`);
    return { perSecond, p50: Number.NaN, p99: Number.NaN, answered: perSecond * seconds };
  };
}

/** @throws if a program that this part needs is not installed. */
export async function requirePrograms(): Promise<void> {
  const missing: string[] = [];
  for (const [program, args] of [
    ['wrk', ['-v']],
    ['pgbench', ['--version']],
    ['/usr/bin/python3', ['-c', 'import django, rest_framework, gunicorn, psycopg2']],
  ] as const) {
    // `wrk -v` prints its version and exits with code 1.
    await run(program, [...args]).catch((error: { code?: unknown; stdout?: string }) => {
      if (!(program === 'wrk' && error.stdout?.startsWith('wrk'))) missing.push(program);
    });
  }
  if (missing.length === 0) return;
  throw new Error(
    `Not installed: ${missing.join(', ')}. On Debian: apt-get install wrk postgresql postgresql-contrib python3-django python3-djangorestframework gunicorn python3-psycopg2`,
  );
}
