import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { programPath } from './built-program.ts';
import { until } from './until.ts';

/** 32 bytes that production accepts too. */
export const testKeys = `k1:${Buffer.from('a key of tests, which are public').toString('base64')}`;

export type Settings = Record<string, string | undefined>;

/** Settings that differ from the defaults. Tests post many times from one address; tests of the limits set one. */
export const testSettings: Settings = { LOG_FORMAT: 'json', ENCRYPTION_KEYS: testKeys, RATE_LIMIT: 'off' };

export interface Finished {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs one command of the real program to its end; `program` is the launcher of another release. */
export async function ruffinweb(
  args: readonly string[],
  settings: Settings = {},
  input = '',
  program = programPath(),
): Promise<Finished> {
  const child = start(args, settings, program);
  const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
  child.stdin?.end(input);
  const [code, signal] = await ended(child);
  return { code, signal, stdout: stdout.text(), stderr: stderr.text() };
}

/** The server as a separate process, listening on a free port. */
export class RunningServer implements AsyncDisposable {
  readonly url: string;
  readonly #child: ChildProcess;
  readonly #stdout: { text(): string };
  readonly #stderr: { text(): string };
  readonly #ended: Promise<[number | null, NodeJS.Signals | null]>;

  private constructor(
    child: ChildProcess,
    url: string,
    streams: { stdout: { text(): string }; stderr: { text(): string } },
    whenEnded: Promise<[number | null, NodeJS.Signals | null]>,
  ) {
    this.#child = child;
    this.url = url;
    this.#stdout = streams.stdout;
    this.#stderr = streams.stderr;
    this.#ended = whenEnded;
  }

  static async start(
    settings: Settings,
    args: readonly string[] = ['serve'],
    program = programPath(),
  ): Promise<RunningServer> {
    const child = start(args, { PORT: '0', ...settings }, program);
    child.stdin?.end();
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)];
    const whenEnded = ended(child);
    let over = false;
    void whenEnded.then(() => {
      over = true;
    });
    const url = await until(
      'the server prints its address',
      () => {
        if (over) throw new Error(`the server ended: ${stderr.text()}${stdout.text()}`);
        return /http:\/\/[^\s/]+:\d+/.exec(stdout.text())?.[0];
      },
      60_000,
    ).catch(async (error: unknown) => {
      child.kill();
      await whenEnded;
      throw error;
    });
    return new RunningServer(child, url, { stdout, stderr }, whenEnded);
  }

  /** The delivery worker as a separate process; it prints no address. */
  static async startWorker(settings: Settings): Promise<RunningServer> {
    return await RunningServer.startCommand(['deliver'], settings);
  }

  /** Any command that runs until it is stopped. */
  static async startCommand(args: readonly string[], settings: Settings): Promise<RunningServer> {
    const child = start(args, settings, programPath());
    child.stdin?.end();
    const streams = { stdout: collect(child.stdout), stderr: collect(child.stderr) };
    return new RunningServer(child, '', streams, ended(child));
  }

  /** Waits until it has written something on stderr. */
  async said(what: RegExp): Promise<void> {
    await until(`it says ${what}`, () => what.test(this.log), 60_000);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Everything it has printed so far. */
  get output(): string {
    return this.#stdout.text();
  }

  /** Everything it has logged so far. */
  get log(): string {
    return this.#stderr.text();
  }

  /** Settles when the process has ended. */
  get ended(): Promise<unknown> {
    return this.#ended;
  }

  /** Sends a signal, unless the process has ended. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends a signal and waits for the process to end. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
    this.#child.kill(signal);
    const [code, by] = await this.#ended;
    return { code, signal: by };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.stop('SIGKILL');
  }
}

/** A temporary folder, removed at the end. */
export async function temporaryFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'ruffinweb-test-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

function start(args: readonly string[], settings: Settings, program: string): ChildProcess {
  return spawn(process.execPath, [program, ...args], {
    stdio: 'pipe',
    // A folder without an .env file, and only the environment variables that programs need to run.
    cwd: tmpdir(),
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      TZ: 'UTC',
      ...testSettings,
      ...settings,
    },
  });
}

function collect(stream: NodeJS.ReadableStream | null): { text(): string } {
  const chunks: Buffer[] = [];
  stream?.on('data', (chunk: Buffer) => chunks.push(chunk));
  return { text: () => Buffer.concat(chunks).toString('utf8') };
}

function ended(child: ChildProcess): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve([code, signal]));
  });
}
