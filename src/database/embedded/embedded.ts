/**
 * The PostgreSQL that comes with the program, for operators who set no DATABASE_URL. `serve` owns it; other commands
 * on this machine use it while it runs. It outlives an owner that was killed, and the next start takes it over.
 */

import { existsSync } from 'node:fs';
import { access, constants, realpath } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { makeFolder } from '../../folder.ts';
import { account, folderOf, makeCluster, readPassword, startServer, stopServer } from './cluster.ts';
import { EmbeddedNotRunning, EmbeddedOwned, EmbeddedUnavailable } from './errors.ts';
import { takeOwnerLock } from './owner-lock.ts';
import { connect, findPostmaster, isNotReady } from './postmaster.ts';

const database = 'ruffinweb';
const [startDeadlineMs, joinDeadlineMs] = [60_000, 10_000];
/** Pause after a failed restart. */
const retryMs = 5000;

export interface EmbeddedServer extends AsyncDisposable {
  /** With the password: for the connection, not for a log. */
  url: string;
  /** It was still running after its last owner had died. */
  adopted: boolean;
  /** Stops PostgreSQL in less than 15 s. May be called again. */
  stop(): Promise<void>;
}

/** The connection that holds the owner's lock; `lost` settles when it ends. */
interface Lock {
  client: pg.Client;
  lost: Promise<void>;
}

/** `lock` is undefined after another process took PostgreSQL over. */
interface Owned {
  lock: Lock | undefined;
}

/**
 * Starts PostgreSQL in `<dataDir>/postgres`, or takes over the one that a killed owner left running. The first start
 * creates the cluster and an empty database.
 *
 * @param options.onRestart if given, PostgreSQL is started again whenever it ends under its owner, and this reports it.
 * @throws {EmbeddedOwned} if another running process owns it.
 * @throws {EmbeddedUnavailable} if it cannot run; the message says what to do.
 */
export async function startEmbedded(
  dataDir: string,
  { log = () => {}, onRestart }: { log?: (line: string) => void; onRestart?: (line: string) => void } = {},
): Promise<EmbeddedServer> {
  const home = await openFolder(dataDir);
  const adopted = (await findPostmaster(folderOf(home))) !== undefined;
  await makeCluster(home, log);
  const owned: Owned = { lock: await startAndOwn(home) };
  log(adopted ? 'took over the embedded PostgreSQL that was still running' : 'started the embedded PostgreSQL');
  const url = await urlOf(home, database);
  if (url === undefined) throw new EmbeddedUnavailable(`the embedded PostgreSQL in ${folderOf(home)} has just ended`);
  const ending = new AbortController();
  const watching = onRestart && keepRunning(home, owned, Number(new URL(url).port), ending.signal, onRestart);
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= release();
    return stopped;
  };
  async function release(): Promise<void> {
    ending.abort();
    // A restart that takes longer is stopped together with PostgreSQL.
    await Promise.race([watching, delay(2000, undefined, { ref: false })]);
    if (owned.lock === undefined) return;
    await stopServer(home, log);
    await owned.lock.client.end().catch(() => {});
  }
  return { url, adopted, stop, [Symbol.asyncDispose]: stop };
}

/** Starts PostgreSQL if needed, takes the owner's lock and creates the database. */
async function startAndOwn(home: string, port?: number): Promise<Lock> {
  const deadline = Date.now() + startDeadlineMs;
  while (Date.now() < deadline) {
    await startServer(home, deadline, port);
    const url = await urlOf(home, 'postgres');
    const client = url && (await connect(url, folderOf(home)));
    if (!client) {
      // It is recovering from a crash, or another process is stopping it.
      await delay(30);
      continue;
    }
    const lost = new Promise<void>((resolve) => client.once('end', () => resolve()));
    try {
      await takeOwnerLock(client, home);
      const { rowCount } = await client.query('select from pg_database where datname = $1', [database]);
      if (rowCount === 0) await client.query(`create database ${database}`);
      return { client, lost };
    } catch (error) {
      await client.end().catch(() => {});
      if (!isNotReady(error) || error instanceof EmbeddedOwned) throw error;
    }
  }
  throw new EmbeddedUnavailable(
    `the PostgreSQL in ${folderOf(home)} runs but does not answer; its log is ${folderOf(home)}.log`,
  );
}

/**
 * Starts PostgreSQL again when it ends under its owner, which the end of the lock's connection shows. It keeps its
 * port, because the pool looks for it there.
 */
async function keepRunning(
  home: string,
  owned: Owned,
  port: number,
  ending: AbortSignal,
  report: (line: string) => void,
): Promise<void> {
  const ended = new Promise<void>((resolve) => ending.addEventListener('abort', () => resolve()));
  let failed = false;
  for (;;) {
    await Promise.race([owned.lock?.lost, ended]);
    if (ending.aborted) return;
    try {
      owned.lock = await startAndOwn(home, port);
      report('the embedded PostgreSQL had ended, and was started again');
      failed = false;
    } catch (error) {
      if (error instanceof EmbeddedOwned) owned.lock = undefined;
      if (!failed)
        report(`the embedded PostgreSQL has ended and does not start again yet: ${(error as Error).message}`);
      failed = true;
      await delay(retryMs, undefined, { signal: ending, ref: false }).catch(() => {});
    }
  }
}

/**
 * The address of the PostgreSQL that another process started on this data folder. Waits for one that is starting.
 *
 * @throws {EmbeddedNotRunning}
 */
export async function joinEmbedded(dataDir: string): Promise<string> {
  const home = await realpath(dataDir).catch(() => undefined);
  const deadline = Date.now() + joinDeadlineMs;
  while (home && Date.now() < deadline) {
    const url = await urlOf(home, database);
    const connection = url && (await connect(url, folderOf(home)));
    if (connection) {
      await connection.end();
      return url;
    }
    if (!(await findPostmaster(folderOf(home)))) break;
    await delay(30);
  }
  throw new EmbeddedNotRunning(dataDir);
}

/** Whether a cluster was ever made in this data folder. */
export function hasCluster(dataDir: string): boolean {
  return existsSync(folderOf(dataDir));
}

async function openFolder(dataDir: string): Promise<string> {
  try {
    makeFolder(dataDir);
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK);
    return await realpath(dataDir);
  } catch (error) {
    throw new EmbeddedUnavailable(`the data folder ${dataDir} cannot be used: ${(error as Error).message}`);
  }
}

async function urlOf(home: string, name: string): Promise<string | undefined> {
  const [postmaster, password] = await Promise.all([findPostmaster(folderOf(home)), readPassword(home)]);
  if (!postmaster?.port || !password) return undefined;
  // sslmode: a PGSSLMODE in the environment is meant for another server.
  return `postgresql://${account}:${password}@127.0.0.1:${postmaster.port}/${name}?sslmode=disable`;
}
