import { execFile, spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from './until.ts';

const run = promisify(execFile);

/** Units that services depend on by default; here they do nothing. */
const targets = ['sysinit', 'basic', 'multi-user', 'shutdown', 'network-online', 'paths', 'sockets', 'timers'];

const namespaces = ['--pid', '--fork', '--mount', '--uts', '--ipc', '--cgroup', '--mount-proc'];

/** Why a private systemd cannot run here; undefined if it can. */
export const whyNoSystemd = findObstacle();

function findObstacle(): string | undefined {
  if (process.getuid?.() !== 0) return 'it takes root';
  try {
    accessSync(existsSync('/sys/fs/cgroup/systemd') ? '/sys/fs/cgroup/systemd' : '/sys/fs/cgroup', constants.W_OK);
  } catch {
    return 'the control groups cannot be written';
  }
  const tried = spawnSync('unshare', [...namespaces, 'mount', '-t', 'tmpfs', 'tmpfs', '/run']);
  return tried.status === 0 ? undefined : 'no namespaces can be made';
}

/**
 * A real systemd as process 1 of its own namespaces, which knows the units in one folder and nothing else of this
 * machine. Its mounts are private; `bindings` shows our folders below /run, which no unit's sandbox hides.
 */
export class PrivateSystemd implements AsyncDisposable {
  readonly #pid: number;

  private constructor(pid: number) {
    this.#pid = pid;
  }

  static async start(folder: string, units: string, bindings: Record<string, string>): Promise<PrivateSystemd> {
    for (const name of targets)
      await writeFile(join(units, `${name}.target`), `[Unit]\nDescription=${name}\nDefaultDependencies=no\n`);
    const script = join(folder, 'run.sh');
    const binds = Object.entries(bindings).map(([from, to]) => `mkdir -p ${to}; mount --bind ${from} ${to}`);
    await writeFile(
      script,
      `#!/bin/bash
set -eu
mount --make-rprivate /
# Credentials reach a service by propagation.
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd /run/lock
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /var/cache
${binds.join('\n')}
export container=test SYSTEMD_UNIT_PATH=${units}
exec /lib/systemd/systemd --system --unit=basic.target
`,
    );
    await chmod(script, 0o755);
    const outer = spawn('unshare', [...namespaces, script], { stdio: 'ignore' });
    const pid = await until('systemd runs', async () => {
      if (outer.exitCode !== null) throw new Error(`unshare ended with ${outer.exitCode}`);
      const children = await readFile(`/proc/${outer.pid}/task/${outer.pid}/children`, 'utf8').catch(() => '');
      const [child] = children.trim().split(' ').filter(Boolean);
      const name = child && (await readFile(`/proc/${child}/comm`, 'utf8').catch(() => ''));
      return name?.trim() === 'systemd' ? Number(child) : undefined;
    });
    const made = new PrivateSystemd(pid);
    await until('systemd answers', async () => /^(running|degraded)/.test(await made.systemctl('is-system-running')));
    return made;
  }

  /** @returns its output, even if the exit code is not 0. */
  async systemctl(...args: string[]): Promise<string> {
    return await this.inside('systemctl', '--no-pager', ...args);
  }

  async inside(...command: string[]): Promise<string> {
    const enter = ['-t', String(this.#pid), '-m', '-p', '-u', '-i', ...command];
    const { stdout, stderr } = await run('nsenter', enter, { timeout: 60_000 }).catch((error) => error);
    return `${stdout}${stderr}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // When process 1 ends, everything in its namespace ends.
    process.kill(this.#pid, 'SIGKILL');
    await until('systemd is gone', () => !existsSync(`/proc/${this.#pid}`));
  }
}
