import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, globSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { until } from './until.ts';

/** Programs of the machine that the operations tests need, and the Debian packages that contain them. */
const packages = {
  nginx: 'nginx-light',
  'redis-server': 'redis-server',
  pgbouncer: 'pgbouncer',
  'systemd-analyze': 'systemd',
  shellcheck: 'shellcheck',
  openssl: 'openssl',
  curl: 'curl',
  pg_dump: 'postgresql-client',
  pg_ctl: 'postgresql',
  python3: 'python3',
} as const;

export type MachineProgram = keyof typeof packages;

/** Folders that are not in an ordinary user's PATH; Debian separates PostgreSQL's server programs by version. */
const folders = [
  ...(process.env.PATH ?? '').split(':'),
  '/usr/sbin',
  '/sbin',
  ...globSync('/usr/lib/postgresql/*/bin').toSorted().toReversed(),
];

export function pathOf(program: string): string | undefined {
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

/**
 * Describes tests that need installed programs. If one is missing, they fail when `CI` is set. Otherwise it prints
 * what to install and describes nothing, so no test counts as passed without running.
 */
export function describeWith(programs: readonly MachineProgram[], title: string, tests: () => void): void {
  const missing = programs.filter((it) => pathOf(it) === undefined);
  if (missing.length === 0) {
    describe(title, tests);
    return;
  }
  const why = `${missing.join(', ')} missing; apt-get install ${missing.map((it) => packages[it]).join(' ')}`;
  if (process.env.CI === undefined) console.warn(`skipped "${title}": ${why}`);
  else
    it(title, () => {
      throw new Error(why);
    });
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** An installed program that runs until the test ends. */
export class MachineProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #ended: Promise<void>;
  #output = '';

  constructor(program: MachineProgram, args: readonly string[], options: { cwd?: string } = {}) {
    this.#child = spawn(pathOf(program) ?? program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (bytes: Buffer) => {
        this.#output += bytes.toString('utf8');
      });
    }
    this.#ended = new Promise((resolve) => this.#child.once('close', () => resolve()));
  }

  get output(): string {
    return this.#output;
  }

  /** Waits for a sign that it is ready. @throws with its output if it ends instead. */
  async ready(what: string, look: () => Promise<boolean>): Promise<void> {
    await until(what, async () => {
      if (this.#child.exitCode !== null) throw new Error(`ended instead: ${this.#output}`);
      return await look().catch(() => false);
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill(signal);
      // A stopped process handles no other signal until it continues.
      this.#child.kill('SIGCONT');
    }
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end();
  }
}

/** A real Redis on a free port, without persistence. */
export class RedisServer implements AsyncDisposable {
  readonly url: string;
  /** To inspect its data. */
  readonly client: Redis;
  #process: MachineProcess;
  readonly #port: number;

  private constructor(port: number) {
    this.#port = port;
    this.url = `redis://127.0.0.1:${port}`;
    this.client = new Redis(this.url, { lazyConnect: true, retryStrategy: () => 50 });
    this.client.on('error', () => {});
    this.#process = this.#run();
  }

  static async start(): Promise<RedisServer> {
    const server = new RedisServer(await freePort());
    await server.ready();
    return server;
  }

  async ready(): Promise<void> {
    await this.#process.ready('Redis answers', async () => (await this.client.ping()) === 'PONG');
  }

  /** Like a power cut: gone, with all its data. */
  async kill(): Promise<void> {
    await this.#process.end('SIGKILL');
  }

  async startAgain(): Promise<void> {
    this.#process = this.#run();
    await this.ready();
  }

  /** It keeps its connections open and answers nothing. */
  freeze(): void {
    this.#process.signal('SIGSTOP');
  }

  thaw(): void {
    this.#process.signal('SIGCONT');
  }

  #run(): MachineProcess {
    return new MachineProcess('redis-server', [
      ...['--port', String(this.#port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.disconnect();
    await this.#process.end();
  }
}

/** A folder for a program's files, removed at the end. */
export async function programFolder(name: string): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), `ruffinweb-${name}-`));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
