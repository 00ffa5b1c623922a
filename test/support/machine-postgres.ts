import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { choosePrefix } from '../../src/database/embedded/account.ts';
import { run } from '../../src/database/embedded/programs.ts';
import { freePort, pathOf } from './machine-programs.ts';

/** A PostgreSQL server of the machine's own version, with its own files: it stands in for another machine's. */
export class MachinePostgres implements AsyncDisposable {
  readonly port: number;
  readonly #folder: string;
  readonly #prefix: readonly string[];
  readonly #settings: string;
  readonly #under: readonly string[];

  private constructor(
    folder: string,
    prefix: readonly string[],
    port: number,
    settings: string,
    under: readonly string[],
  ) {
    this.#folder = folder;
    this.#prefix = prefix;
    this.port = port;
    this.#settings = settings;
    this.#under = under;
  }

  /**
   * @param settings options of the program `postgres`. By default a commit may be lost with the machine's power.
   * @param under a program that starts it, with its arguments.
   */
  static async open(settings = '-c fsync=off', under: readonly string[] = []): Promise<MachinePostgres> {
    const folder = await mkdtemp(join(tmpdir(), 'ruffinweb-postgres-'));
    const files = join(folder, 'files');
    await mkdir(files, { mode: 0o700 });
    const server = new MachinePostgres(folder, await choosePrefix(files), await freePort(), settings, under);
    await server.#run('initdb', '-D', files, '--username=owner', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8');
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    const options = `-p ${this.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' ${this.#settings}`;
    await this.#run('pg_ctl', 'start', '-w', '-s', '-D', join(this.#folder, 'files'), '-l', this.log, '-o', options);
  }

  /** `fast` ends all connections; `immediate` is a crash, after which it recovers. */
  async stop(mode: 'fast' | 'immediate'): Promise<void> {
    await this.#run('pg_ctl', 'stop', '-w', '-s', '-m', mode, '-D', join(this.#folder, 'files'));
  }

  async restart(mode: 'fast' | 'immediate'): Promise<void> {
    await this.stop(mode);
    await this.start();
  }

  /** Its log file. */
  get log(): string {
    return join(this.#folder, 'log');
  }

  /** The process that starts all others. */
  async pid(): Promise<number> {
    return Number.parseInt(await readFile(join(this.#folder, 'files/postmaster.pid'), 'utf8'), 10);
  }

  /** Sends a signal to every process of the server: the first one starts no other meanwhile. */
  async signal(signal: NodeJS.Signals): Promise<void> {
    const first = await this.pid();
    process.kill(first, 'SIGSTOP');
    const children = await readFile(`/proc/${first}/task/${first}/children`, 'utf8');
    for (const pid of [...children.split(' ').filter(Boolean).map(Number), first]) {
      try {
        process.kill(pid, signal);
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  /** The URL of `database`, whether it exists or not. */
  urlOf(database: string): string {
    return `postgresql://owner@127.0.0.1:${this.port}/${database}?sslmode=disable`;
  }

  /** As its programs print it. */
  static async version(): Promise<string> {
    const { said } = await run([pathOf('postgres') ?? 'postgres', '--version'], 10_000);
    return said.trim();
  }

  /** For libpq's own programs. */
  get environment(): Record<string, string> {
    return { PGHOST: '127.0.0.1', PGPORT: String(this.port), PGUSER: 'owner' };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('immediate').catch(() => {});
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #run(program: 'initdb' | 'pg_ctl', ...args: string[]): Promise<void> {
    const { code, said } = await run([...this.#prefix, ...this.#under, pathOf(program) ?? program, ...args], 60_000);
    if (code !== 0) throw new Error(`${program} failed: ${said}`);
  }
}
