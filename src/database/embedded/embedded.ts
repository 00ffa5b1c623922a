/**
 * The PostgreSQL server that comes with the program, for those who have set no DATABASE_URL. It outlives a killed
 * owner, and the next start takes it over; other processes of this machine join it while it runs.
 */

import { access, constants, realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { makeFolder } from '../../folder.ts';
import { account, folderOf, makeCluster, readPassword, startDeadlineMs, startServer, stopServer } from './cluster.ts';
import { type Claim, claimOwnership, isOwned } from './owner.ts';
import { askServer, findPostmaster, query } from './postmaster.ts';
import { keepRunning } from './restart-when-ended.ts';
import { EmbeddedUnavailable } from './unavailable.ts';

export { EmbeddedUnavailable } from './unavailable.ts';

const database = 'ruffinweb';
const joinDeadlineMs = 10_000;

export interface EmbeddedServer extends AsyncDisposable {
  /** With the password: for the connection, not for a log. */
  url: string;
  /** It was still running after its last owner had died. */
  adopted: boolean;
  /** Whether `stop` stops it; false where another living process owns it. */
  owned: boolean;
  /** Ends the server if it is owned, in less than 15 s. May be called again. */
  stop(): Promise<void>;
}

/** Nobody has started the embedded server. */
export class EmbeddedNotRunning extends Error {
  override name = 'EmbeddedNotRunning';
  constructor(folder: string) {
    super(
      `the embedded database in ${folder} is not running; set DATABASE_URL, or start the server: ruffinweb serve --migrate`,
    );
  }
}

/**
 * Starts the server in `<dataDir>/postgres`, making it first if need be; or takes over the one that a dead owner left
 * running; or joins that of a living owner. The database exists afterwards and is empty the first time.
 *
 * @param options.whenEnded the owner starts the server again wherever it ends under it, and is told so by this.
 * @throws {EmbeddedUnavailable} where that is not possible; the message says what to do.
 */
export async function startEmbedded(
  dataDir: string,
  { log = () => {}, whenEnded }: { log?: (line: string) => void; whenEnded?: (line: string) => void } = {},
): Promise<EmbeddedServer> {
  const home = await openFolder(dataDir);
  const deadline = Date.now() + startDeadlineMs;
  for (;;) {
    const claim = await claimOwnership(home);
    if (claim) return await startOwned(home, claim, deadline, log, whenEnded);
    const url = await findRunning(home);
    if (url) return serverHandle(url, { adopted: false, owned: false }, async () => {});
    // The owner is still starting, or stopping and about to let go.
    if (Date.now() > deadline)
      throw new EmbeddedUnavailable(`another process is starting the database in ${home} and does not get done`);
    await delay(30);
  }
}

/**
 * The address of the server that someone else has started on this data folder; waits for one that is starting up.
 *
 * @throws {EmbeddedNotRunning}
 * @throws {EmbeddedUnavailable} where its owner lives all the same.
 */
export async function joinEmbedded(dataDir: string): Promise<string> {
  const home = await realpath(dataDir).catch(() => undefined);
  const deadline = Date.now() + joinDeadlineMs;
  while (home && Date.now() < deadline) {
    const url = await findRunning(home);
    if (url) return url;
    if (!(await findPostmaster(folderOf(home)))) break;
    await delay(30);
  }
  if (home && (await isOwned(home))) {
    throw new EmbeddedUnavailable(
      `the database in ${home} does not run, but a server that owns it does: it is starting, or it has ended and is started again; the server's log and ${folderOf(home)}.log say what is in the way`,
    );
  }
  throw new EmbeddedNotRunning(resolve(dataDir));
}

/** Whether a server was ever set up there. */
export async function hasCluster(dataDir: string): Promise<boolean> {
  return await access(folderOf(dataDir)).then(
    () => true,
    () => false,
  );
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

async function startOwned(
  home: string,
  claim: Claim,
  deadline: number,
  log: (line: string) => void,
  whenEnded: ((line: string) => void) | undefined,
): Promise<EmbeddedServer> {
  try {
    const adopted = (await findPostmaster(folderOf(home))) !== undefined;
    await makeCluster(home, log);
    if (!adopted) await startServer(home, deadline);
    const url = await untilReady(home, deadline);
    log(adopted ? 'took over the embedded PostgreSQL that was still running' : 'started the embedded PostgreSQL');
    const kept = whenEnded && keepRunning(home, Number(new URL(url).port), whenEnded);
    return serverHandle(url, { adopted, owned: true }, async () => {
      await kept?.end();
      await stopServer(home, log).finally(() => claim.release());
    });
  } catch (error) {
    await claim.release();
    throw error;
  }
}

/** Waits until the server on this folder answers, which after a crash takes as long as its recovery. */
async function untilReady(home: string, deadline: number): Promise<string> {
  const folder = folderOf(home);
  while (Date.now() < deadline) {
    const url = await findUrl(home);
    const answer = url ? await askServer(url, folder) : 'none';
    if (url && answer === 'ready') return url;
    if (url && answer === 'bare') await createDatabase(url);
    else await delay(30);
  }
  throw new EmbeddedUnavailable(
    `the PostgreSQL server in ${folder} runs but does not answer; its log is ${folder}.log`,
  );
}

async function createDatabase(url: string): Promise<void> {
  const maintenance = new URL(url);
  maintenance.pathname = '/postgres';
  await query(maintenance.href, `create database ${database}`);
}

async function findRunning(home: string): Promise<string | undefined> {
  const url = await findUrl(home);
  return url && (await askServer(url, folderOf(home))) === 'ready' ? url : undefined;
}

async function findUrl(home: string): Promise<string | undefined> {
  const [postmaster, password] = await Promise.all([findPostmaster(folderOf(home)), readPassword(home)]);
  if (!postmaster?.port || !password) return undefined;
  // sslmode: a PGSSLMODE in the environment is meant for another server.
  return `postgresql://${account}:${password}@127.0.0.1:${postmaster.port}/${database}?sslmode=disable`;
}

function serverHandle(
  url: string,
  what: { adopted: boolean; owned: boolean },
  end: () => Promise<void>,
): EmbeddedServer {
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopped ??= end();
    return stopped;
  };
  return { url, ...what, stop, [Symbol.asyncDispose]: stop };
}
