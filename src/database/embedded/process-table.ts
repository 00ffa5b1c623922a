/**
 * Finds out which process has a process id. The system reuses ids, and a zombie keeps its id, so a process is recognised
 * by its start time and its command.
 */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

export interface RunningProcess {
  /** Differs between two processes with the same id, even across a restart of the machine. */
  startedAt: string;
  /** The command line, joined by spaces. */
  command: string;
}

/** The running process with this id; undefined if it does not exist or is a zombie. */
export async function findProcess(pid: number): Promise<RunningProcess | undefined> {
  if (!Number.isSafeInteger(pid) || pid <= 0) return undefined;
  try {
    return process.platform === 'linux' ? await readProc(pid) : await askPs(pid);
  } catch {
    return undefined;
  }
}

async function readProc(pid: number): Promise<RunningProcess | undefined> {
  const [stat, command, boot] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'utf8'),
    readFile(`/proc/${pid}/cmdline`, 'utf8'),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => ''),
  ]);
  // proc(5): the second field is the program's name in parentheses, which may itself contain both.
  const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (state === 'Z' || state === 'X') return undefined;
  // "starttime" is field 22, in clock ticks since boot, so the boot's id is added.
  return { startedAt: `${boot.trim()}/${rest[18]}`, command: command.replaceAll('\0', ' ') };
}

/** macOS has no /proc. There `ps` shows the same, with the start time in seconds. */
async function askPs(pid: number): Promise<RunningProcess | undefined> {
  const args = ['-o', 'stat=,lstart=,command=', '-p', String(pid)];
  const { stdout } = await promisify(execFile)('ps', args, {
    env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' },
  });
  const [state = '', ...rest] = stdout.trim().split(/\s+/);
  if (state === '' || state.startsWith('Z')) return undefined;
  // "Sun Nov 22 07:35:00 2026", then the command.
  return { startedAt: rest.slice(0, 5).join(' '), command: rest.slice(5).join(' ') };
}
