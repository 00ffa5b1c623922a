/** The running server as seen from outside: its pid file, its process and its answer. */

import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { findProcess } from './process-table.ts';
import { EmbeddedUnavailable } from './unavailable.ts';

/** What `postmaster.pid` says; a server that is only just starting has not written the port yet. */
export interface Postmaster {
  pid: number;
  port: number | undefined;
}

/** The server that is alive on this folder, whoever started it. */
export async function findPostmaster(folder: string): Promise<Postmaster | undefined> {
  const found = await readPidFile(folder);
  return found && (await isServing(found.pid, folder)) ? found : undefined;
}

/**
 * Makes PostgreSQL see that a dead server's pid file is stale. It would find that out by itself, unless the pid
 * belongs to another program by now or to a zombie: then it refuses to start, for ever.
 *
 * The pid is replaced rather than the file removed, for its seventh line lets PostgreSQL notice processes of the
 * dead server that still hold its shared memory and could still write.
 */
export async function buryPidFile(folder: string): Promise<void> {
  const found = await readPidFile(folder);
  if (!found || (await isServing(found.pid, folder))) return;
  const path = join(folder, 'postmaster.pid');
  const [, ...rest] = (await readFile(path, 'utf8')).split('\n');
  // Over what is there and never shorter: where the disk is full, an emptied file would keep every later start away.
  await writeFile(path, [impossiblePid, ...rest].join('\n'), { flag: 'r+' });
}

/** One above the highest that Linux gives out (PID_MAX_LIMIT, 2^22), and far above those of macOS. */
const impossiblePid = 4_194_305;

async function readPidFile(folder: string): Promise<Postmaster | undefined> {
  const text = await readFile(join(folder, 'postmaster.pid'), 'utf8').catch(() => '');
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  return pid > 0 ? { pid, port: Number(lines[3]) || undefined } : undefined;
}

/** Whether this process is a PostgreSQL server on this folder: a postmaster works in its data directory. */
async function isServing(pid: number, folder: string): Promise<boolean> {
  const running = await findProcess(pid);
  if (!running || !/(^|\/)postgres\s/.test(running.command)) return false;
  const [there, here] = await Promise.all(
    [`/proc/${pid}/cwd/`, folder].map((path) => stat(path).catch(() => undefined)),
  );
  if (there && here) return there.dev === here.dev && there.ino === here.ino;
  return running.command.includes(`-D ${folder} `);
}

/** `none`: no answer yet, or that of another server. `bare`: it is ours, and the database is missing. */
export type Answer = 'ready' | 'bare' | 'none';

/**
 * Connects and makes sure that the server behind the port is the one on this folder.
 *
 * @throws {EmbeddedUnavailable} when our password is not its password.
 */
export async function askServer(url: string, folder: string): Promise<Answer> {
  try {
    const [row] = await query<{ data_directory: string }>(url, 'show data_directory');
    return row?.data_directory === folder ? 'ready' : 'none';
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === '3D000') return 'bare';
    // Nobody listens, the connection was lost, or it is starting up or shutting down.
    if (code === undefined || code.startsWith('E') || code.startsWith('57P')) return 'none';
    if (code !== '28P01') throw error;
    throw new EmbeddedUnavailable(
      `the password in ${folder}.password is not that of the server on ${folder}: put the right file back`,
    );
  }
}

/** One statement on a connection of its own. */
export async function query<Row extends object>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000, query_timeout: 30_000 });
  client.on('error', () => {}); // the query reports it; unheard it would end the process
  try {
    await client.connect();
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end().catch(() => {});
  }
}
