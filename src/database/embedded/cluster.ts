/** A cluster is PostgreSQL's word for the folder with its files: `<data folder>/postgres`, next to its password and log. */

import { randomBytes, randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { writeOnce } from '../../folder.ts';
import { readTextFile } from '../../text-file.ts';
import { choosePrefix } from './account.ts';
import { EmbeddedUnavailable } from './errors.ts';
import { findPostmaster, markPidFileStale } from './postmaster.ts';
import { findPrograms, run } from './programs.ts';

export const account = 'ruffinweb';

/**
 * Constant and without spaces, because a shell sees them. The log must not show what a visitor sent: so it has no
 * statements, no details and no ordinary errors, which the client gets anyway.
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

/** A port that the IANA leaves to everybody (RFC 6335 §6). */
const randomPort = () => randomInt(49_152, 65_536);

export function folderOf(dataDir: string): string {
  return join(dataDir, 'postgres');
}

/** The password of the cluster in this data folder; undefined before the first start. */
export async function readPassword(dataDir: string): Promise<string | undefined> {
  try {
    return readTextFile(passwordPath(dataDir)).trim();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    throw new EmbeddedUnavailable(`${message}: only the account that created the embedded database can use it`);
  }
}

function passwordPath(dataDir: string): string {
  return join(dataDir, 'postgres.password');
}

/** Creates the cluster unless it exists. Several processes may do so at once: the first to finish wins. */
export async function makeCluster(dataDir: string, log: (line: string) => void): Promise<void> {
  const folder = folderOf(dataDir);
  if (!existsSync(folder)) {
    log(`setting up an embedded PostgreSQL in ${folder}`);
    writeOnce(passwordPath(dataDir), `${randomBytes(24).toString('base64url')}\n`);
    await makeFromDraft(dataDir);
  } else if (!(await readPassword(dataDir))) {
    throw new EmbeddedUnavailable(
      `${passwordPath(dataDir)} is missing, and without it nobody can log in to the database in ${folder}: put it back`,
    );
  }
  for (const name of await readdir(dataDir)) {
    // A killed start left it, or a slower process is making it and will find that the cluster exists.
    if (!name.startsWith(draftPrefix)) continue;
    await rm(join(dataDir, name), { recursive: true, force: true }).catch(() => {});
  }
}

const draftPrefix = 'postgres.new-';

/** A cluster appears under its name only when it is complete. */
async function makeFromDraft(dataDir: string): Promise<void> {
  const folder = folderOf(dataDir);
  const { initdb } = await findPrograms();
  const draft = await mkdtemp(join(dataDir, draftPrefix));
  try {
    const login = [`--username=${account}`, `--pwfile=${passwordPath(dataDir)}`, '--auth=scram-sha-256'];
    const text = ['--encoding=UTF8', '--locale=C.UTF-8'];
    const outcome = await run([...(await choosePrefix(draft)), initdb, '-D', draft, ...login, ...text], 120_000);
    if (outcome.code !== 0) throw new EmbeddedUnavailable(`initdb failed: ${outcome.said}`);
    await rename(draft, folder);
  } catch (error) {
    // Another process made it first, and may have deleted our draft.
    if (!existsSync(folder)) throw error;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/**
 * Starts PostgreSQL unless it runs, and waits until it accepts connections. PostgreSQL itself makes sure that only one
 * server runs on a folder. Three failures are temporary, so it tries again: the last processes of a killed server are
 * still ending, another program uses the port, or another process is starting PostgreSQL too.
 *
 * @param port where clients expect it; a random one by default.
 */
export async function startServer(dataDir: string, deadline: number, port?: number): Promise<void> {
  const folder = folderOf(dataDir);
  const programs = await findPrograms();
  const prefix = await choosePrefix(folder);
  const logPath = join(dataDir, 'postgres.log');
  while (!(await findPostmaster(folder))) {
    const logged = (await stat(logPath).catch(() => undefined))?.size ?? 0;
    const options = [...settings, `port=${port ?? randomPort()}`].map((setting) => `-c ${setting}`).join(' ');
    const how = ['-D', folder, '-l', logPath, '-p', programs.postgres, '-o', options];
    const outcome = await run([...prefix, programs.pgCtl, 'start', '-w', '-s', '-t', '60', ...how], 70_000);
    if (outcome.code === 0) return;

    const why = (await readFrom(logPath, logged)) || outcome.said;
    const isTemporary = /Address already in use|shared memory block|lock file/.test(why);
    if (!isTemporary || Date.now() > deadline)
      throw new EmbeddedUnavailable(`the embedded PostgreSQL did not start: ${why}`);
    await markPidFileStale(folder);
    await delay(100);
  }
}

/** Stops PostgreSQL within 15 s: it rolls open transactions back. If it hangs, the next start recovers. */
export async function stopServer(dataDir: string, log: (line: string) => void): Promise<void> {
  const folder = folderOf(dataDir);
  const running = await findPostmaster(folder);
  if (!running) return;
  const programs = await findPrograms();
  const stop = [...(await choosePrefix(folder)), programs.pgCtl, 'stop', '-D', folder, '-w', '-s'];
  const fast = await run([...stop, '-m', 'fast', '-t', '9'], 10_000);
  if (fast.code === 0 || (await findPostmaster(folder))?.pid !== running.pid) return;
  log('the embedded PostgreSQL did not stop within 9 s: stopping it without waiting for its connections');
  const immediate = await run([...stop, '-m', 'immediate', '-t', '3'], 4_000);
  if (immediate.code !== 0) log(`the embedded PostgreSQL still runs: ${immediate.said}`);
}

/** What PostgreSQL has written to its log since `offset`. */
async function readFrom(path: string, offset: number): Promise<string> {
  const content = await readFile(path).catch(() => Buffer.alloc(0));
  return content.subarray(offset).toString('utf8').trim();
}
