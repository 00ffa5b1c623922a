import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { readDatabaseUrl } from './connection.ts';

const firstWaitMs = 250;
const longestWaitMs = 30_000;

/** A connection that went silent (a dead network) is found out by a question this often, in milliseconds. */
const pulseMs = 20_000;

export interface Listening {
  databaseUrl: string;
  channel: string;
}

/**
 * Listens for PostgreSQL's NOTIFY on a connection of its own, and heals it. `onNotice` is also called after each
 * new connection, since notices may have been missed before it. Nobody may depend on being called.
 */
export function listen(to: Listening, onNotice: () => void): AsyncDisposable {
  const stop = new AbortController();
  const ended = keepListening(to, onNotice, stop.signal);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await ended;
    },
  };
}

async function keepListening(to: Listening, onNotice: () => void, stop: AbortSignal): Promise<void> {
  let waitMs = firstWaitMs;
  while (!stop.aborted) {
    const found = await listenOnce(to, stop, () => {
      waitMs = firstWaitMs;
      onNotice();
    });
    if (found === 'pooler') return;
    await sleep(waitMs, undefined, { signal: stop }).catch(() => {});
    waitMs = Math.min(waitMs * 2, longestWaitMs);
  }
}

/** Resolves when the connection is gone, for whatever reason, or where it makes no sense to listen; never throws. */
async function listenOnce(to: Listening, stop: AbortSignal, onNotice: () => void): Promise<'gone' | 'pooler'> {
  const { promise: gone, resolve: end } = Promise.withResolvers<void>();
  const onStop = () => end();
  stop.addEventListener('abort', onStop);
  let client: pg.Client | undefined;
  let pulse: NodeJS.Timeout | undefined;
  try {
    const listener = createListener(to);
    client = listener;
    // Without a listener for it, a lost connection would end the process.
    listener.on('error', () => end());
    listener.on('end', () => end());
    listener.on('notification', onNotice);
    await listener.connect();
    if (await isBehindPooler(listener)) return 'pooler';
    await listener.query(`listen ${listener.escapeIdentifier(to.channel)}`);
    onNotice();
    pulse = setInterval(() => {
      listener.query('select 1').catch(() => listener.connection.stream.destroy());
    }, pulseMs);
    await gone;
  } catch {
    // Away or refused, or its certificate is being changed at this moment: the caller tries again.
  } finally {
    clearInterval(pulse);
    stop.removeEventListener('abort', onStop);
    await client?.end().catch(() => {});
  }
  return 'gone';
}

/** @throws where the file of a certificate cannot be read. */
function createListener(to: Listening): pg.Client {
  return new pg.Client({
    ...readDatabaseUrl(to.databaseUrl),
    application_name: 'ruffinweb listener',
    connectionTimeoutMillis: 5000,
    query_timeout: 5000,
    keepAlive: true,
  });
}

/**
 * A pooler says a process of its own making. In transaction mode it would hand LISTEN to some connection of the
 * database, never to be heard of again, and lose that connection at the first notice.
 */
async function isBehindPooler(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
  return rows[0]?.pid !== (client as unknown as { processID: number | null }).processID;
}
