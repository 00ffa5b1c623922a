/**
 * PostgreSQL refuses to run as root. For root, its programs run through another program (`unshare` or `setpriv`), so that
 * no account has to be created on the machine.
 */
import { chown, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { EmbeddedUnavailable, useDatabaseUrl } from './errors.ts';
import { run } from './programs.ts';

/**
 * Returns the arguments to put before a program that uses this folder, which must exist. None for an ordinary user. As root:
 *
 * - If another account owns the folder, PostgreSQL runs as that account.
 * - Otherwise in a user namespace: PostgreSQL sees an ordinary user, who can still enter root's folders.
 * - Many containers forbid namespaces. There PostgreSQL runs as `nobody`, who becomes the folder's owner, with one of
 *   root's capabilities: to pass through folders.
 *
 * @throws {EmbeddedUnavailable} if none of these works, or an ordinary user does not own the folder.
 */
export async function choosePrefix(folder: string): Promise<readonly string[]> {
  const { uid, gid } = await stat(folder);
  const me = process.getuid?.() ?? uid;
  if (me !== 0) {
    if (uid === me) return [];
    throw new EmbeddedUnavailable(
      `${folder} belongs to another account (uid ${uid}, this is uid ${me}): run this as that account, ` +
        `or give it to this one with "sudo chown -R ${me}" on the data folder`,
    );
  }
  const nobody = await findNobody();
  if (uid !== 0) {
    const asOwner = becoming(uid, gid);
    if (await works(asOwner)) return asOwner;
  } else {
    const inNamespace = ['unshare', '--user', `--map-user=${nobody.uid}`, `--map-group=${nobody.gid}`];
    if (await works(inNamespace)) return inNamespace;
    const asNobody = becoming(nobody.uid, nobody.gid);
    if (await works(asNobody)) {
      await give(folder, nobody);
      return asNobody;
    }
  }
  throw new EmbeddedUnavailable(
    'PostgreSQL refuses to run as root, and this machine allows neither user namespaces (unshare) nor a change of ' +
      `account (setpriv): start as an ordinary user, or ${useDatabaseUrl}`,
  );
}

interface Account {
  uid: number;
  gid: number;
}

/** `initdb` needs an account with a name. Every system has `nobody`; uid 1000 may not exist. */
async function findNobody(): Promise<Account> {
  const lines = (await readFile('/etc/passwd', 'utf8').catch(() => '')).split('\n').map((line) => line.split(':'));
  const line =
    lines.find(([name, , uid]) => name === 'nobody' && uid !== '0') ?? lines.find(([, , uid]) => Number(uid) > 0);
  return { uid: Number(line?.[2] ?? 65534), gid: Number(line?.[3] ?? 65534) };
}

function becoming(uid: number, gid: number): string[] {
  const capabilities = ['--inh-caps=+dac_override', '--ambient-caps=+dac_override'];
  return ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', ...capabilities];
}

async function works(prefix: readonly string[]): Promise<boolean> {
  const outcome = await run([...prefix, 'true'], 5_000).catch(() => undefined);
  return outcome?.code === 0;
}

async function give(path: string, to: Account): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true, recursive: true });
  for (const entry of entries) {
    if (!entry.isSymbolicLink()) await chown(join(entry.parentPath, entry.name), to.uid, to.gid);
  }
  // Last, because the folder's owner decides how to run, so an interrupted change is repeated.
  await chown(path, to.uid, to.gid);
}
