/**
 * A cluster is PostgreSQL's word for the folder with its files: here `<data folder>/postgres`, next to its password,
 * its log and the claim of its owner. Only the owner calls what is in this file.
 */

import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { choosePrefix } from './account.ts';
import { buryPidFile, findPostmaster } from './postmaster.ts';
import { findPrograms, run } from './programs.ts';
import { EmbeddedUnavailable } from './unavailable.ts';
import { writeOnce } from './write-once.ts';

export const account = 'ruffinweb';

/**
 * Constant and without spaces, for a shell sees them. No statement, value or address that a visitor gave may come
 * into the log: hence no statements, no details and no ordinary errors, which reach the one who asked anyway.
 */
const settings = [
  'listen_addresses=127.0.0.1',
  "unix_socket_directories=''",
  'max_connections=100',
  'log_min_messages=log',
  'log_min_error_statement=panic',
  'log_error_verbosity=terse',
  'log_checkpoints=off',
  'timezone=UTC',
  'log_timezone=UTC',
];

export function folderOf(dataDir: string): string {
  return join(dataDir, 'postgres');
}

/** The password of the cluster in this data folder; undefined before the first start. */
export async function readPassword(dataDir: string): Promise<string | undefined> {
  try {
    return (await readFile(passwordPath(dataDir), 'utf8')).trim();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw new EmbeddedUnavailable(`${message}: only the account that made the embedded database can use it`);
  }
}

function passwordPath(dataDir: string): string {
  return join(dataDir, 'postgres.password');
}

/** Makes the cluster if there is none. It appears under its name only when it is complete. */
export async function makeCluster(dataDir: string, log: (line: string) => void): Promise<void> {
  const folder = folderOf(dataDir);
  const exists = await stat(folder).then(
    () => true,
    () => false,
  );
  if (exists) {
    if (await readPassword(dataDir)) return;
    throw new EmbeddedUnavailable(
      `${passwordPath(dataDir)} is missing, and without it nobody gets into ${folder}: put it back`,
    );
  }
  log(`setting up an embedded PostgreSQL in ${folder}`);
  const { initdb } = await findPrograms();
  for (const name of await readdir(dataDir)) {
    // Left by a start that was killed.
    if (name.startsWith('postgres.new-')) await rm(join(dataDir, name), { recursive: true, force: true });
  }
  await writeOnce(passwordPath(dataDir), `${randomBytes(24).toString('base64url')}\n`, 0o600);

  const draft = join(dataDir, `postgres.new-${process.pid}`);
  try {
    await mkdir(draft, { mode: 0o700 });
    const access = [`--username=${account}`, `--pwfile=${passwordPath(dataDir)}`, '--auth=scram-sha-256'];
    const text = ['--encoding=UTF8', '--locale=C.UTF-8'];
    const outcome = await run([...(await choosePrefix(draft)), initdb, '-D', draft, ...access, ...text], 120_000);
    if (outcome.code !== 0) throw new EmbeddedUnavailable(`initdb failed: ${outcome.said}`);
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/**
 * Starts the server and waits until it takes connections. A killed server's last processes may need a moment to go,
 * and between finding a free port and listening on it another program may take it: both are tried again.
 *
 * @param port where clients expect it; without it any that is free.
 */
export async function startServer(dataDir: string, deadline: number, port?: number): Promise<void> {
  const folder = folderOf(dataDir);
  const programs = await findPrograms();
  const prefix = await choosePrefix(folder);
  const logPath = join(dataDir, 'postgres.log');
  for (;;) {
    await buryPidFile(folder);
    await keepSmall(logPath);
    const logged = await sizeOf(logPath);
    const options = [...settings, `port=${port ?? (await findFreePort())}`].map((setting) => `-c ${setting}`).join(' ');
    const how = ['-D', folder, '-l', logPath, '-p', programs.postgres, '-o', options];
    const outcome = await run([...prefix, programs.pgCtl, 'start', '-w', '-s', '-t', '60', ...how], 70_000);
    if (outcome.code === 0) return;

    const why = (await readFrom(logPath, logged)) || outcome.said;
    const passes = /Address already in use|shared memory block|lock file .* already exists/.test(why);
    if (!passes || Date.now() > deadline)
      throw new EmbeddedUnavailable(`the embedded PostgreSQL did not start: ${why}`);
    await delay(100);
    // Someone who was killed while starting it may have succeeded all the same.
    if (await findPostmaster(folder)) return;
  }
}

/** Ends the server, within 15 s: open transactions are rolled back, and if it hangs, the next start recovers. */
export async function stopServer(dataDir: string, log: (line: string) => void): Promise<void> {
  const folder = folderOf(dataDir);
  if (!(await findPostmaster(folder))) return;
  const programs = await findPrograms();
  const stop = [...(await choosePrefix(folder)), programs.pgCtl, 'stop', '-D', folder, '-w', '-s'];
  const fast = await run([...stop, '-m', 'fast', '-t', '9'], 10_000);
  if (fast.code === 0 || !(await findPostmaster(folder))) return;
  log('the embedded PostgreSQL did not stop in 9 s; ending it at once');
  const immediate = await run([...stop, '-m', 'immediate', '-t', '3'], 4_000);
  if (immediate.code !== 0) log(`the embedded PostgreSQL is still there: ${immediate.said}`);
}

const logLimit = 1_000_000;

/** One older log is kept. Not while the server runs: it would go on writing into the renamed file. */
async function keepSmall(path: string): Promise<void> {
  if ((await sizeOf(path)) > logLimit) await rename(path, `${path}.old`);
}

async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    (it) => it.size,
    () => 0,
  );
}

async function readFrom(path: string, offset: number): Promise<string> {
  const content = await readFile(path).catch(() => Buffer.alloc(0));
  return content.subarray(offset).toString('utf8').trim();
}

async function findFreePort(): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const server = createServer().once('error', reject);
  server.listen({ port: 0, host: '127.0.0.1' }, () => {
    const address = server.address();
    server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
  });
  return await promise;
}
export const startDeadlineMs = 60_000;
