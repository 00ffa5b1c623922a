import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `npm run test:chaos` runs the given test command; with `--full` every fault instead. */
const args = process.argv.slice(2);
const own = args.findIndex((it) => /^--(full|short|seed|only)(=|$)/.test(it));
process.exitCode = own < 0 ? runTests(args) : await runFaults(args.slice(own));

function runTests([command = '', ...rest]: string[]): number {
  return spawnSync(command, rest, { stdio: 'inherit' }).status ?? 1;
}

/** In a folder for everything temporary, so that nothing is left however it ends: by Ctrl-C too, or with frozen processes. */
async function runFaults(options: string[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'ruffinweb-faults-'));
  const env = { ...process.env, TMPDIR: folder };
  const child = spawn(process.execPath, ['test/chaos/full/main.ts', ...options], { stdio: 'inherit', env });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  // One that is killed may just have started another.
  while (endProcessesOf(folder) > 0);
  for (const path of disksIn(folder)) for (const sudo of [[], ['sudo', '-n']]) umount(sudo, path);
  rmSync(folder, { recursive: true, force: true });
  return code ?? 1;
}

/** Ends every process that runs in this folder, or has it for its temporary files. @returns how many. */
function endProcessesOf(folder: string): number {
  const pids = readdirSync('/proc').filter((it) => /^\d+$/.test(it) && isOf(folder, it));
  for (const pid of pids) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
  return pids.length;
}

function isOf(folder: string, pid: string): boolean {
  try {
    const isInside = readlinkSync(`/proc/${pid}/cwd`).startsWith(folder);
    return isInside || readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').includes(`TMPDIR=${folder}`);
  } catch {
    return false;
  }
}

function disksIn(folder: string): string[] {
  const mounts = readFileSync('/proc/mounts', 'utf8').split('\n');
  return mounts.map((it) => it.split(' ')[1] ?? '').filter((it) => it.startsWith(folder));
}

function umount(sudo: string[], path: string): void {
  const [program = '', ...rest] = [...sudo, 'umount', path];
  spawnSync(program, rest);
}
