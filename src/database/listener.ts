import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { readDatabaseUrl } from './connection.ts';
import { cutConnection, processIdOf } from './orm-repairs.ts';

/** Pause before it reconnects. */
const retryMs = 1000;

/** How often to query the server, so that a dead network is noticed. */
const pingEveryMs = 20_000;

export interface Listening {
  databaseUrl: string;
  /** What to do after a notice, by channel. */
  notices: Readonly<Record<string, () => void>>;
}

/**
 * Listens for PostgreSQL's NOTIFY on its own connection, and reconnects when that is lost. Also calls every function
 * after each connect, because it may have missed notices. Notices can get lost, so callers must poll as well.
 */
export function listen(to: Listening): AsyncDisposable {
  const stop = new AbortController();
  const ended = keepListening(to, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

async function keepListening(to: Listening, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    if ((await listenOnce(to, stop)) === 'pooler') return;
    await sleep(retryMs, undefined, { signal: stop }).catch(() => {});
  }
}

/** Resolves when the connection is lost, or at once behind a pooler, where listening is useless. Never throws. */
async function listenOnce(to: Listening, stop: AbortSignal): Promise<'gone' | 'pooler'> {
  const { promise: gone, resolve: end } = Promise.withResolvers<void>();
  const onStop = () => end();
  stop.addEventListener('abort', onStop);
  await using opened = new AsyncDisposableStack();
  opened.defer(() => stop.removeEventListener('abort', onStop));
  try {
    const client = new pg.Client({
      ...readDatabaseUrl(to.databaseUrl),
      application_name: 'ruffinweb listener',
      connectionTimeoutMillis: 5000,
      query_timeout: 5000,
      keepAlive: true,
    });
    opened.defer(() => client.end().catch(() => {}));
    // Without a listener for errors, losing the connection would end the process.
    client.on('error', () => end());
    client.on('end', () => end());
    client.on('notification', ({ channel }) => to.notices[channel]?.());
    await client.connect();
    if (await isBehindPooler(client)) return 'pooler';
    for (const channel of Object.keys(to.notices)) await client.query(`listen ${client.escapeIdentifier(channel)}`);
    for (const onNotice of Object.values(to.notices)) onNotice();
    const ping = setInterval(() => {
      client.query('select 1').catch(() => cutConnection(client));
    }, pingEveryMs);
    opened.defer(() => clearInterval(ping));
    await gone;
  } catch {
    // The server is away or refuses us, or its certificate file is just being replaced: the caller tries again.
  }
  return 'gone';
}

/**
 * A pooler's handshake contains an invented process id. In transaction mode it would run LISTEN on any of its
 * connections: no notice would arrive, and the first one would break that connection.
 */
async function isBehindPooler(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid !== processIdOf(client);
}
