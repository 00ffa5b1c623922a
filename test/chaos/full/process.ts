import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { programPath } from '../../support/built-program.ts';
import { type Settings, testSettings } from '../../support/program.ts';

export interface ProcessOptions {
  /** The launcher of another release. */
  program?: string;
  /** A program that starts ours, with its arguments: `prlimit --nofile=64`. */
  under?: readonly string[];
  /** Flags of Node, before the program. */
  node?: readonly string[];
  /** An open file for both outputs, in place of the log. */
  output?: number;
}

/** One process of the program, which logs into a file. */
export class Process implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly ended: Promise<string>;
  /** By `performance.now()`. */
  readonly startedAt = performance.now();
  #isMeant = false;
  #hasEnded = false;

  /** @param unmeant told when it ends without being stopped from here. */
  constructor(
    args: readonly string[],
    settings: Settings,
    logPath: string,
    unmeant: (how: string) => void,
    { program = programPath(), under = [], node = [], output }: ProcessOptions = {},
  ) {
    const [command = '', ...rest] = [...under, process.execPath, ...node, program, ...args];
    const log = output ?? openSync(logPath, 'a');
    this.#child = spawn(command, rest, {
      stdio: ['ignore', log, log],
      cwd: tmpdir(),
      env: { PATH: process.env.PATH, HOME: process.env.HOME, TZ: 'UTC', ...testSettings, ...settings },
    });
    if (output === undefined) closeSync(log);
    this.ended = new Promise((resolve) => {
      const end = (how: string) => {
        this.#hasEnded = true;
        if (!this.#isMeant) unmeant(`${args.join(' ')} ended by itself: ${how}`);
        resolve(how);
      };
      this.#child.on('error', (error) => end(String(error)));
      this.#child.on('close', (code, signal) => end(String(signal ?? code)));
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Whether it runs, or has not been noticed to have ended. */
  get isRunning(): boolean {
    return !this.#hasEnded;
  }

  /** It may end from now on: by our signal, or by a fault that kills it. */
  mayEnd(): void {
    this.#isMeant = true;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** @returns its exit code or signal. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<string> {
    this.mayEnd();
    this.signal(signal);
    return await this.ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) await this.stop('SIGKILL');
  }
}
