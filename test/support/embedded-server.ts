import { cp, mkdtemp, readdir, readFile, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeCluster } from '../../src/database/embedded/cluster.ts';
import { startEmbedded } from '../../src/database/embedded/embedded.ts';

/** The embedded PostgreSQL in its own folder, for one test run. */
export async function startEmbeddedServer() {
  const place = await quickestFolder();
  await removeLeftovers(place);
  const folder = await mkdtemp(join(place, folderPrefix));
  await makeCluster(folder, () => {});
  const fresh = join(folder, 'fresh');
  for (const name of ['postgres', 'postgres.password']) {
    await cp(join(folder, name), join(fresh, name), { recursive: true });
  }
  process.env[freshVariable] = fresh;
  const embedded = await startEmbedded(folder);
  return {
    url: embedded.url,
    async stop() {
      await embedded.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

const freshVariable = 'RUFFINWEB_TEST_CLUSTER';

/**
 * Puts an embedded database that has never been started into a data folder: a copy, since `initdb` takes two seconds.
 * Does nothing in a run with another PostgreSQL; there the program makes its own.
 */
export async function placeCluster(dataDir: string): Promise<void> {
  const fresh = process.env[freshVariable];
  if (fresh !== undefined) await cp(fresh, dataDir, { recursive: true });
}

/**
 * In memory if there is room, since cloning and dropping a database waits for the disk many times; otherwise in the
 * temporary folder. PostgreSQL works the same in both.
 */
async function quickestFolder(): Promise<string> {
  const memory = '/dev/shm';
  const room = await statfs(memory).then(
    (it) => it.bavail * it.bsize,
    () => 0,
  );
  return room > 2 * 1024 ** 3 ? memory : tmpdir();
}

const folderPrefix = 'ruffinweb-test-server-';

/** Folders left by killed runs: an hour old, with no server on them. In memory they would stay until a reboot. */
async function removeLeftovers(place: string): Promise<void> {
  for (const name of await readdir(place)) {
    if (!name.startsWith(folderPrefix)) continue;
    const path = join(place, name);
    const [{ mtimeMs }, pidFile] = await Promise.all([
      stat(path).catch(() => ({ mtimeMs: Date.now() })),
      readFile(join(path, 'postgres', 'postmaster.pid'), 'utf8').catch(() => ''),
    ]);
    if (Date.now() - mtimeMs < 3_600_000 || isRunning(Number.parseInt(pidFile, 10))) continue;
    await rm(path, { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  if (!(pid > 0)) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
