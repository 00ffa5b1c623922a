import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Load } from '../support/load.ts';
import { type Machine, query } from '../support/machine.ts';
import { launcher, type Running, startServer } from '../support/program.ts';

const run = promisify(execFile);
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Every guard on, as a production server has it, with a limit for one client that this one client does not reach. */
export const settings = {
  PORT: '0',
  ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
  NOTIFY_TO: 'owner@site.test',
  RATE_LIMIT: '999999/1m',
  LOG_LEVEL: 'info',
  LOG_FORMAT: 'json',
  METRICS_TOKEN: 'a-token-of-the-benchmark',
};

/** As `ours` has it from its launcher, so that what is called the same below stays the same. */
const asLaunched = { nodeOptions: launcherLimits(), env: { MALLOC_ARENA_MAX: '2' } };

function launcherLimits(): string[] {
  const [, list = ''] = /const limits = \[(.*?)\];/s.exec(readFileSync(launcher, 'utf8')) ?? [];
  const limits = [...list.matchAll(/'([^']*)'/g)].map(([, limit]) => limit as string);
  if (limits.length === 0) throw new Error(`the limits of a server are not found in ${launcher}`);
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

/** The same without batches. */
export async function startOneAtATime(machine: Machine): Promise<Running> {
  const env = { ...settings, ...asLaunched.env, DATABASE_URL: await machine.createDatabase('one') };
  const command = [process.execPath, ...asLaunched.nodeOptions, here('one-at-a-time.ts')] as const;
  return await startServer('one-at-a-time', { folder: machine.folder, env, command });
}

/** The same app, which stores nothing. */
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
 * The same task as people write it with Django REST framework, under gunicorn with four workers.
 *
 * @param settings trimmed and with kept connections, or as they come.
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

/** Three statements in a transaction for each post, on tables like ours, asked by pgbench. */
export async function openThreeStatements(
  machine: Machine,
): Promise<(clients: number, seconds: number) => Promise<Load>> {
  const url = await machine.createDatabase('three');
  const [form] = await query<{ id: string }>(url, 'select id from forms');
  const fixed = ['-n', '-M', 'prepared', '-f', here('three-statements.sql'), '-D', `form=${form?.id}`];
  return async (clients, seconds) => {
    const { stdout } = await run('pgbench', [...fixed, '-c', String(clients), '-T', String(seconds), url]);
    const perSecond = Number(/tps = ([\d.]+)/.exec(stdout)?.[1]);
    if (!(perSecond > 0)) throw new Error(`pgbench said: ${stdout}`);
    return { perSecond, p50: Number.NaN, p99: Number.NaN, answered: perSecond * seconds };
  };
}

/** What this part asks of the machine beside Node. */
export async function requirePrograms(): Promise<void> {
  const missing: string[] = [];
  for (const [program, args] of [
    ['wrk', ['-v']],
    ['pgbench', ['--version']],
    ['/usr/bin/python3', ['-c', 'import django, rest_framework, gunicorn, psycopg2']],
  ] as const) {
    // wrk shows its version and exits 1.
    await run(program, [...args]).catch((error: { code?: unknown; stdout?: string }) => {
      if (!(program === 'wrk' && error.stdout?.startsWith('wrk'))) missing.push(program);
    });
  }
  if (missing.length === 0) return;
  throw new Error(
    'missing; on Debian: apt-get install wrk postgresql postgresql-contrib python3-django python3-djangorestframework gunicorn python3-psycopg2',
  );
}
