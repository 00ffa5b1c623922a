import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const launcher = fileURLToPath(new URL('../../bin/ruffinweb.js', import.meta.url));

/** A contender's server, in its own process. */
export interface Running extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
}

export interface Start {
  /** A writable folder. The log is written there. */
  folder: string;
  env: Record<string, string>;
  /** Further options for Node. */
  nodeOptions?: readonly string[];
  /** Runs instead of our program with its usual options. */
  command?: readonly [string, ...string[]];
}

/**
 * Starts a server and waits until it has printed its address. Its log goes to a file, as under systemd or in a
 * container.
 */
export async function startServer(name: string, { folder, env, nodeOptions = [], command }: Start): Promise<Running> {
  const [program, ...args] = command ?? [process.execPath, ...nodeOptions, launcher, 'serve', '--no-deliver'];
  const log = openSync(join(folder, `${name}.log`), 'a');
  const child = spawn(program, args, {
    cwd: folder,
    stdio: ['ignore', 'pipe', log],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, TZ: 'UTC', ...env },
  });
  closeSync(log);
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    let printed = '';
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      printed += text;
      const found = /http:\/\/[^\s/]+:\d+/.exec(printed)?.[0];
      if (found !== undefined) resolve(found);
    });
    child.once('error', reject);
    child.once('close', () => reject(new Error(`${name} ended: ${readFileSync(join(folder, `${name}.log`), 'utf8')}`)));
  });
  return {
    url,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** Resident memory of a process (`VmRSS`), in MB of 1,000,000 bytes. */
export function residentMb(pid: number): number {
  const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return (Number(kib) * 1024) / 1e6;
}

/** Starts `ruffinweb deliver`. It listens on no port, so its first log line shows that it runs. */
export async function startWorker({
  folder,
  env,
  command = [process.execPath, launcher, 'deliver'],
}: Start): Promise<AsyncDisposable & { readonly pid: number }> {
  const [program, ...args] = command;
  const child = spawn(program, args, {
    cwd: folder,
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.stderr.once('data', () => resolve());
    child.once('close', () => reject(new Error('the worker ended')));
  });
  child.stderr.resume();
  return {
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
