import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { type Settings, testSettings } from './program.ts';
import { until } from './until.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** The byte that the key Ctrl-C sends. */
export const ctrlC = '\x03';

/** A command in its own terminal, created by `script` (util-linux): typed text reaches it, Ctrl-C as a signal. */
export class TerminalProgram {
  readonly #child: ChildProcess;
  readonly #ended: Promise<number | null>;
  #output = '';

  constructor(command: string, settings: Settings) {
    this.#child = spawn('script', ['--quiet', '--flush', '--return', '--command', command, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      cwd: root,
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        SHELL: '/bin/sh',
        PORT: '0',
        // None: a developer may have an .env file in this folder.
        RUFFINWEB_ENV: `${tmpdir()}/there-is-no-such.env`,
        ...testSettings,
        ...settings,
      },
    });
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#output += text;
    });
    this.#ended = new Promise((resolve) => this.#child.once('close', resolve));
  }

  get output(): string {
    return this.#output;
  }

  /** Waits until the server listens. */
  async url(): Promise<string> {
    return await until(
      'the server prints its address',
      () => {
        if (this.#child.exitCode !== null) throw new Error(`it ended: ${this.#output}`);
        return /listens on (http:\/\/[^\s/]+:\d+)/.exec(this.#output)?.[1];
      },
      60_000,
    );
  }

  /** @returns the command's exit code. */
  async type(keys: string): Promise<number | null> {
    this.#child.stdin?.write(keys);
    return await this.#ended;
  }

  /** Closes the terminal: the system sends SIGHUP to the command. */
  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }
}
