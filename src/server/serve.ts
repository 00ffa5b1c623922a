import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { MailingContext } from '../context.ts';
import { grace } from '../grace.ts';
import type { Log } from '../log.ts';
import { openRedis } from '../redis.ts';
import { runDeliveryLoop } from '../services/delivery/delivery-loop.ts';
import { createBell, listenForEmails } from '../services/delivery/new-mail-signal.ts';
import { openIntake } from '../services/intake/intake.ts';
import type { BatchLimits } from '../services/intake/store-batches.ts';
import { keepHouse } from '../services/maintenance/run-maintenance.ts';
import { createApp } from './app.ts';
import { collectWhenQuiet } from './collect-when-quiet.ts';
import { createMailboxKey } from './mailbox-lock.ts';
import { hasMailbox } from './mailbox-routes.ts';
import { openPages } from './pages.ts';
import type { ServerState } from './routes.ts';
import { securityHeaders } from './security-headers.ts';
import { shareCounts } from './shared-counts.ts';

/** How long requests that have begun may take to finish after a stop is asked for, in milliseconds. */
const finishMs = 10_000;

export interface ServeOptions {
  /** Whether to run the delivery loop in this process. */
  deliver: boolean;
  stop: AbortSignal;
  /** Ends the waits of a stop when it is aborted. */
  hasten?: AbortSignal;
  /** How this program is called from where it was started. */
  calledAs: string;
  /** Called with each line of what a person should know once the server listens. */
  print: (line: string) => void;
  /** How posts are stored together; nothing but a measurement gives others than the usual ones. */
  batches?: BatchLimits;
  /** How long a client may leave an answer unread, in milliseconds; nothing but a test gives another time than the usual one. */
  unreadMs?: number;
}

/**
 * Serves the public API, and delivers mail beside it, until `stop` is aborted; then finishes what is in flight.
 *
 * @throws when the port cannot be had.
 */
export async function serve(given: MailingContext, options: ServeOptions): Promise<void> {
  await using opened = new AsyncDisposableStack();
  const mailboxKey = hasMailbox(given.config) ? createMailboxKey() : undefined;
  const state: ServerState = { stopping: false, shared: await openSharedCounts(given, opened), mailboxKey };
  const secure = given.config.publicUrl.startsWith('https:');
  const server = createHttpServer(secure, options.unreadMs);
  await startListening(server, given.config.port, given.config.host);
  const { port } = server.address() as AddressInfo;
  const context = withRealPort(given, port);
  const intake = opened.use(openIntake(context, options.batches));
  const app = createApp(context, openPages(context.config), state, intake);
  answer(server, withoutCrowds(app.callback()), secure);
  warnOfOpenDoors(context);
  announce(context, port, options, mailboxKey);
  collectWhenQuiet(server);

  // Each process offers to keep house; the database lets one do it.
  const work = [serveUntilStopped(server, state, context.log, options), keepHouse(context, options.stop)];
  if (options.deliver) work.push(deliverUntilStopped(context, options));
  await Promise.all(work);
}

async function openSharedCounts({ config, keyring, log }: MailingContext, opened: AsyncDisposableStack) {
  if (config.redisUrl === undefined) return undefined;
  const redis = opened.use(await openRedis(config.redisUrl.reveal(), log));
  return shareCounts(redis, (client) => keyring.limitIndex(client).toString('base64url'));
}

async function deliverUntilStopped(context: MailingContext, options: ServeOptions): Promise<void> {
  const bell = createBell();
  await using _listening = listenForEmails(context, bell);
  await runDeliveryLoop(context, bell, options.stop, options.hasten);
}

async function serveUntilStopped(
  server: Server,
  state: ServerState,
  log: Log,
  { stop, hasten }: ServeOptions,
): Promise<void> {
  await new Promise<void>((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener('abort', () => resolve(), { once: true });
  });
  state.stopping = true;
  log.info('stopping: requests and mail in flight come to their end first');
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await Promise.race([closed, grace(finishMs, hasten)]);
  server.closeAllConnections();
  await closed;
}

/** With `PORT=0` and no `PUBLIC_URL`, only now is it known what links have to say. */
function withRealPort(context: MailingContext, port: number): MailingContext {
  const { config } = context;
  if (config.port !== 0 || config.publicUrl !== 'http://localhost:0') return context;
  return { ...context, config: { ...config, publicUrl: `http://localhost:${port}` } };
}

/** Answers that one connection may wait for. Browsers and proxies ask for one after the other; a few at once do no harm. */
const mostUnanswered = 20;

/**
 * Every wait has an end: slow headers, slow bodies, unread answers and idle connections cost a client its connection. Of
 * an unread answer Node may take twice the time to see that nothing moves.
 */
function createHttpServer(secure: boolean, unreadMs = 60_000): Server {
  const server = createServer({
    headersTimeout: 10_000,
    requestTimeout: 20_000,
    keepAliveTimeout: 5000,
    connectionsCheckingInterval: 2000,
  });
  server.maxHeadersCount = 100;
  server.timeout = unreadMs;
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => refuseRaw(error, socket, secure));
  return server;
}

function answer(server: Server, listener: RequestListener, secure: boolean): void {
  server.on('request', listener);
  // Answered like any other; the body is asked for where it is read (`read-submission.ts`), and a client that was
  // refused before may or may not send it, so that nothing can follow on its connection.
  server.on('checkContinue', (request, response) => {
    response.setHeader('Connection', 'close');
    listener(request, response);
  });
  server.on('checkExpectation', (_request, response) => {
    response.writeHead(417, { ...securityHeaders(secure), 'Content-Length': 0 }).end();
  });
}

/**
 * Node hands on every request that stands in what it has read of a connection, before any of them is answered: a
 * thousand in 64 KB, each of which takes memory until a client that need not read has read the answer.
 */
function withoutCrowds(listener: RequestListener): RequestListener {
  const unanswered = new WeakMap<Socket, number>();
  return (request, response) => {
    const { socket } = request;
    // What else stood in it is nobody's any more.
    if (socket.destroyed) return;
    const count = (unanswered.get(socket) ?? 0) + 1;
    if (count > mostUnanswered) {
      socket.destroy();
      return;
    }
    unanswered.set(socket, count);
    response.once('close', () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
    listener(request, response);
  };
}

/** A request that is none never reaches the app; what Node would answer by itself lacks our headers. */
function refuseRaw(error: NodeJS.ErrnoException, socket: Socket, secure: boolean): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? '408 Request Timeout'
      : error.code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : '400 Bad Request';
  const headers = Object.entries({ ...securityHeaders(secure), Connection: 'close', 'Content-Length': '0' });
  socket.end(`HTTP/1.1 ${status}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`);
}

function startListening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Settings that are allowed and that an operator should know of. */
function warnOfOpenDoors({ config, log }: MailingContext): void {
  if (config.production && config.captcha.kind === 'none') {
    const replies = config.autoReply
      ? ', and each program that posts makes this server send mail to an address of its choice'
      : '';
    log.warn(`CAPTCHA is none: nothing tells people from programs${replies}; set CAPTCHA=altcha`);
  }
}

function announce(
  context: MailingContext,
  port: number,
  { print, calledAs }: ServeOptions,
  mailboxKey: string | undefined,
): void {
  const { config, mailer } = context;
  const host = config.host === '0.0.0.0' || config.host === '::' ? '127.0.0.1' : config.host;
  const address = `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
  const database =
    config.databaseUrl.reveal() === 'embedded' ? `embedded PostgreSQL in ${config.dataDir}/postgres` : 'DATABASE_URL';
  print(`ruffinweb listens on ${address}`);
  print('');
  print(`  landing page  ${config.publicUrl}/`);
  print(`  database      ${database}`);
  print(`  mail          ${mailer.describes}`);
  if (mailboxKey !== undefined) print(`  mailbox       ${config.publicUrl}/mailbox?key=${mailboxKey}`);
  print('');
  print('Post a message from another terminal:');
  print('');
  print(
    `  curl -s -H 'Content-Type: application/json' -d '{"name":"Ada","email":"ada@example.com","message":"Hello!"}' ${address}/api/messages`,
  );
  print('');
  print('and look at it:');
  print('');
  print(`  ${calledAs} messages list`);
  print('');
}
