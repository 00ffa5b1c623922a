import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readConfig } from '../../src/config/read-config.ts';
import { openContext, openDatabaseContext } from '../../src/context.ts';
import { createLog } from '../../src/log.ts';
import { openMailingContext } from '../../src/mailing-context.ts';
import { type ServeOptions, serve } from '../../src/server/serve.ts';
import { type Client, clientOf } from './api.ts';
import { createDatabase, type TestDatabase } from './database.ts';
import { type Settings, testSettings } from './program.ts';
import { until } from './until.ts';

/** A server in this process. */
export interface ServerHere extends AsyncDisposable {
  readonly url: string;
  /** Everything it has printed so far. */
  readonly output: string;
  /** Everything it has logged so far. */
  readonly log: string;
}

type ServerHereOptions = Partial<Pick<ServeOptions, 'deliver' | 'unreadMs'>>;

/**
 * The server in this process, on a free port: everything except the command line is the real code. A separate process
 * costs half a second, so `RunningServer` is for tests of process behaviour.
 */
export async function startServerHere(settings: Settings, options: ServerHereOptions = {}): Promise<ServerHere> {
  const lines: string[] = [];
  const printed: string[] = [];
  const stop = new AbortController();
  const config = readConfig({ PORT: '0', DATA_DIR: join(tmpdir(), 'data'), ...testSettings, ...settings });
  const log = createLog({ level: config.log.level, format: 'json' }, { write: (line) => lines.push(line) });
  const base = await openDatabaseContext(config, { log, embedded: 'join', waiting: 'visitor' });
  const mailing = await openMailingContext(await openContext(base));
  let failure: unknown;
  const over = serve(mailing, {
    deliver: false,
    ...options,
    stop: stop.signal,
    calledAs: 'ruffinweb',
    print: (line) => printed.push(line),
  })
    .catch((error: unknown) => {
      failure = error;
    })
    .finally(() => mailing[Symbol.asyncDispose]());
  const url = await until('the server prints its address', () => {
    if (failure !== undefined) throw failure;
    return /http:\/\/[^\s/]+:\d+/.exec(printed.join('\n'))?.[0];
  });
  return {
    url,
    get output() {
      return printed.join('\n');
    },
    get log() {
      return lines.join('');
    },
    async [Symbol.asyncDispose]() {
      stop.abort();
      await over;
      if (failure !== undefined) throw failure;
    },
  };
}

/** A database, a server on it and a client for that server: what most HTTP tests need. */
export interface Api extends AsyncDisposable {
  readonly db: TestDatabase;
  readonly server: ServerHere;
  readonly http: Client;
}

export async function openApi(settings: Settings = {}, options: ServerHereOptions = {}): Promise<Api> {
  await using opened = new AsyncDisposableStack();
  const db = opened.use(await createDatabase());
  const server = opened.use(await startServerHere({ DATABASE_URL: db.url, ...settings }, options));
  await db.maintenanceDone();
  const owned = opened.move();
  return { db, server, http: clientOf(server.url), [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
