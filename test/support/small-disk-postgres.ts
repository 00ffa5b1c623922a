import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { freePort, pathOf } from './machine-programs.ts';
import { until } from './until.ts';

/** Root in a namespace of its own, which may mount a file system there. On some machines only root may do this. */
const inNamespace = ['unshare', '--user', '--map-root-user', '--mount'];
const asPostgres = 'unshare --user --map-user=65534 --map-group=65534';

/** A PostgreSQL server on a disk of its own that can be filled. Only this process sees the disk. */
export class SmallDiskPostgres implements AsyncDisposable {
  readonly url: string;
  readonly #folder: string;
  readonly #child: ChildProcess;

  private constructor(folder: string, child: ChildProcess, port: number) {
    this.#folder = folder;
    this.#child = child;
    this.url = `postgresql://owner@127.0.0.1:${port}/postgres?sslmode=disable`;
  }

  static async start(): Promise<SmallDiskPostgres> {
    const folder = await mkdtemp(join(tmpdir(), 'ruffinweb-small-disk-'));
    const port = await freePort();
    const programs = dirname(pathOf('pg_ctl') ?? '');
    const run = `cd ${folder} && mkdir --mode=700 files &&
      ${programs}/initdb -D files --username=owner --auth=trust --encoding=UTF8 --locale=C.UTF-8 >log 2>&1 &&
      exec ${programs}/postgres -D files -p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= >>log 2>&1`;
    const mount = `mount -t tmpfs -o size=180m,mode=777 tmpfs ${folder} && exec ${asPostgres} sh -c '${run}'`;
    const [program = '', ...args] = [...mayMount(), ...inNamespace, 'sh', '-c', mount];
    const server = new SmallDiskPostgres(folder, spawn(program, args, { stdio: 'inherit' }), port);
    await until('PostgreSQL answers', () =>
      server.query('select 1').then(
        () => true,
        () => false,
      ),
    );
    return server;
  }

  async query<Row extends pg.QueryResultRow>(text: string): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.url });
    client.on('error', () => {});
    await client.connect();
    try {
      return (await client.query<Row>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** Writes a file until nothing more fits. */
  async fill(): Promise<void> {
    const filled = this.query(
      `copy (select repeat('x', 1000000) from generate_series(1, 500)) to '${this.#folder}/filler'`,
    );
    await filled.then(
      () => {
        throw new Error('the disk is too large');
      },
      (error: { code?: string }) => {
        if (error.code !== '53100') throw error;
      },
    );
  }

  async makeRoom(): Promise<void> {
    await this.query(`copy (select 1) to '${this.#folder}/filler'`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGINT');
    await ended;
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Nothing, or `sudo` where ordinary users may not have namespaces. */
function mayMount(): string[] {
  const [program = '', ...args] = inNamespace;
  return spawnSync(program, [...args, 'true']).status === 0 ? [] : ['sudo', '-n'];
}
