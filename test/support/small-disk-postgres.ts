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

/**
 * Fills a disk, or makes room, at each line that it reads, and answers with the number of panics. It starts PostgreSQL
 * again when it has ended: without room for the write-ahead log it cannot even recover.
 */
const shellScript = (programs: string, port: number) => `
  mkdir --mode=700 files
  ${programs}/initdb -D files --waldir=$PWD/wal/files --wal-segsize=1 \
    --username=owner --auth=trust --encoding=UTF8 --locale=C.UTF-8 >log 2>&1 || exit
  exec 3<&0
  while read -r what <&3; do
    case $what in
      fill) cat /dev/zero >filler 2>/dev/null ;;
      fill-log) cat /dev/zero >wal/filler 2>/dev/null ;;
      free) rm -f filler wal/filler ;;
    esac
    grep -c PANIC log
  done &
  trap "isOver=yes; kill -INT \\$server" INT
  while [ -z "$isOver" ]; do
    ${programs}/postgres -D files -p ${port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
      -c max_wal_size=16MB -c min_wal_size=2MB >>log 2>&1 &
    server=$!
    while kill -0 $server 2>/dev/null; do wait $server; done
    sleep 0.2
  done`;

/** A PostgreSQL server on disks of its own that can be filled: one for its log. Only this process sees them. */
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
    const script = shellScript(dirname(pathOf('pg_ctl') ?? ''), port);
    const disk = (size: string, path: string) => `mount -t tmpfs -o size=${size},mode=777 tmpfs ${path}`;
    const disks = `${disk('180m', folder)} && cd ${folder} && mkdir wal && ${disk('40m', 'wal')}`;
    const mount = `${disks} && exec ${asPostgres} sh -c '${script}'`;
    const [program = '', ...args] = [...mayMount(), ...inNamespace, 'sh', '-c', mount];
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const server = new SmallDiskPostgres(folder, child, port);
    await until('PostgreSQL answers', () =>
      server.query('select 1').then(
        () => true,
        () => false,
      ),
    );
    return server;
  }

  /** The URL of `database`, whether it exists or not. */
  urlOf(database: string): string {
    const url = new URL(this.url);
    url.pathname = `/${database}`;
    return url.href;
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

  /** Its log file, which only its own processes see by its path. */
  get log(): string {
    return `/proc/${this.#child.pid}/root${this.#folder}/log`;
  }

  /** Writes a file until nothing more fits on the disk of the tables, or on that of the write-ahead log. */
  async fill(disk: 'tables' | 'log' = 'tables'): Promise<void> {
    await this.#ask(disk === 'tables' ? 'fill' : 'fill-log');
  }

  async makeRoom(): Promise<void> {
    await this.#ask('free');
  }

  /** How often it has ended because it could not write its log. */
  async panics(): Promise<number> {
    return Number(await this.#ask('count'));
  }

  async #ask(what: string): Promise<string> {
    const answer = once(this.#child.stdout as NodeJS.ReadableStream, 'data');
    this.#child.stdin?.write(`${what}\n`);
    return String((await answer)[0]);
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
