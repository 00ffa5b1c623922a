/** The running PostgreSQL as seen from outside: its pid file, its process and its connections. */

import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { EmbeddedUnavailable } from './errors.ts';

/** The content of `postmaster.pid`. A server that has only just started has not written its port yet. */
export interface Postmaster {
  pid: number;
  port: number | undefined;
}

/** The PostgreSQL that runs on this folder, whichever process started it. */
export async function findPostmaster(folder: string): Promise<Postmaster | undefined> {
  const found = readPidFile(await readFile(pidPath(folder), 'utf8').catch(() => ''));
  return found && (await isServing(found.pid, folder)) ? found : undefined;
}

/**
 * Marks the pid file of a dead PostgreSQL as stale. PostgreSQL does that itself, unless another program or a zombie
 * has the pid by now: then it would refuse to start for ever.
 *
 * This replaces the pid and keeps the file, because with its seventh line PostgreSQL notices processes of the dead
 * server that still hold its shared memory and could still write.
 */
export async function markPidFileStale(folder: string): Promise<void> {
  const path = pidPath(folder);
  const text = await readFile(path, 'utf8').catch(() => '');
  const found = readPidFile(text);
  if (!found || (await isServing(found.pid, folder))) return;
  // Compare and write without a pause: another process may have started PostgreSQL since the file was read.
  if (readFileSync(path, 'utf8') !== text) return;
  // Overwrite with a text that is not shorter: on a full disk, truncating would leave an empty file for ever.
  writeFileSync(path, text.replace(/^.*/, String(impossiblePid)), { flag: 'r+' });
}

/** One above the highest that Linux gives out (PID_MAX_LIMIT, 2^22), and far above those of macOS. */
const impossiblePid = 4_194_305;

function pidPath(folder: string): string {
  return join(folder, 'postmaster.pid');
}

function readPidFile(text: string): Postmaster | undefined {
  const lines = text.split('\n');
  const pid = Number(lines[0]);
  return pid > 0 ? { pid, port: Number(lines[3]) || undefined } : undefined;
}

/** Whether this process is a PostgreSQL on this folder: a postmaster works in its data directory. */
async function isServing(pid: number, folder: string): Promise<boolean> {
  const command = await commandOf(pid).catch(() => '');
  if (!/(^|\/)postgres\s/.test(command)) return false;
  const [there, here] = await Promise.all(
    [`/proc/${pid}/cwd/`, folder].map((path) => stat(path).catch(() => undefined)),
  );
  if (there && here) return there.dev === here.dev && there.ino === here.ino;
  return command.includes(`-D ${folder} `);
}

/** The command line of a process, which a zombie has no more. macOS has no /proc. */
async function commandOf(pid: number): Promise<string> {
  if (process.platform === 'linux') return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ');
  return (await promisify(execFile)('ps', ['-o', 'command=', '-p', String(pid)])).stdout;
}

/**
 * Connects and makes sure that the server behind the port is the one on this folder.
 *
 * @returns undefined if it does not answer yet, is stopping, lacks the database, or is another server.
 * @throws {EmbeddedUnavailable} if our password is not its password.
 */
export async function connect(url: string, folder: string): Promise<pg.Client | undefined> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'embedded database',
    connectionTimeoutMillis: 5_000,
    query_timeout: 30_000,
    keepAlive: true,
  });
  // Without a listener, losing the connection would end the process. Queries report it too.
  client.on('error', () => {});
  try {
    await client.connect();
    const { rows } = await client.query<{ data_directory: string }>('show data_directory');
    if (rows[0]?.data_directory === folder) return client;
    await client.end();
    return undefined;
  } catch (error) {
    await client.end().catch(() => {});
    if (isNotReady(error)) return undefined;
    if ((error as { code?: string }).code !== '28P01') throw error;
    throw new EmbeddedUnavailable(
      `the PostgreSQL in ${folder} rejects the password in ${folder}.password: put the right file back`,
    );
  }
}

/** Nothing listens, the connection was lost, the server is starting or stopping, or it lacks the database (3D000). */
export function isNotReady(error: unknown): boolean {
  const { code } = error as { code?: string };
  return code === undefined || /^(E|57P|3D000)/.test(code);
}
