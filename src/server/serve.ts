import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { grace } from '../grace.ts';
import type { Log } from '../log.ts';
import type { MailingContext } from '../mailing-context.ts';
import { openRedis } from '../redis.ts';
import { watchConditions } from '../services/alerts/watch-conditions.ts';
import { runDeliveryLoop } from '../services/delivery/delivery-loop.ts';
import { createNewMailSignal, listenForNewMail } from '../services/delivery/new-mail-signal.ts';
import { createEmailJob } from '../services/emails/email-job.ts';
import { runHooks } from '../services/hooks/run-hooks.ts';
import { openIntake } from '../services/intake/intake.ts';
import { runMaintenance } from '../services/maintenance/run-maintenance.ts';
import { openScope } from '../services/scope.ts';
import { replayErasureLog } from '../services/senders/replay-erasures.ts';
import { createApp } from './app.ts';
import { answer, createHttpServer, startListening } from './http-server.ts';
import { shareCounts } from './limits/shared-counts.ts';
import { createMailboxKey } from './pages/mailbox-lock.ts';
import { hasMailbox } from './pages/mailbox-routes.ts';
import { openPages } from './pages/pages.ts';
import type { ServerState } from './routes.ts';

/** How long requests in flight may take after a stop. */
const finishMs = 10_000;

export interface ServeOptions {
  /** Whether this process also delivers mail. */
  deliver: boolean;
  stop: AbortSignal;
  /** Aborted to stop without waiting. */
  hasten?: AbortSignal;
  /** The command that starts this program, for examples. */
  calledAs: string;
  /** Prints lines for the person who starts the server. */
  print: (line: string) => void;
  /** How long a client may leave an answer unread. Only tests change it. */
  unreadMs?: number;
}

/**
 * Serves the public API and delivers mail until `stop` is aborted. Then finishes the requests and mail in flight.
 *
 * @throws if it cannot listen on the port.
 */
export async function serve(given: MailingContext, options: ServeOptions): Promise<void> {
  await using opened = new AsyncDisposableStack();
  await replayErasureLog(openScope(given));
  const mailboxKey = hasMailbox(given.config) ? createMailboxKey() : undefined;
  const state: ServerState = { stopping: false, shared: await openSharedCounts(given, opened), mailboxKey };
  const server = createHttpServer(options.unreadMs);
  await startListening(server, given.config.port, given.config.host);
  const { port } = server.address() as AddressInfo;
  const context = withRealPort(given, port);
  const intake = opened.use(openIntake(context));
  const app = createApp(context, openPages(context.config), state, intake);
  answer(server, app.callback(), context.config.publicUrl.startsWith('https:'));
  warnAboutRiskySettings(context);
  announce(context, port, options, mailboxKey);

  // Each process runs the maintenance; the database lets only one do each task.
  const work = [serveUntilStopped(server, state, context.log, options), runMaintenance(context, options.stop)];
  work.push(watchConditions(context, options.stop));
  if (options.deliver) work.push(deliverUntilStopped(context, options));
  await Promise.all(work);
}

async function openSharedCounts({ config, keyring, log }: MailingContext, opened: AsyncDisposableStack) {
  if (config.redisUrl === undefined) return undefined;
  const redis = opened.use(await openRedis(config.redisUrl.reveal(), log));
  return shareCounts(redis, (client) => keyring.limitIndex(client).toString('base64url'));
}

async function deliverUntilStopped(context: MailingContext, options: ServeOptions): Promise<void> {
  const [newMail, newDeliveries] = [createNewMailSignal(), createNewMailSignal()];
  await using _listening = listenForNewMail(context, newMail, newDeliveries);
  await Promise.all([
    runDeliveryLoop(context, createEmailJob(context), newMail, options.stop, options.hasten),
    runHooks(context, newDeliveries, options.stop, options.hasten),
  ]);
}

async function serveUntilStopped(
  server: Server,
  state: ServerState,
  log: Log,
  { stop, hasten }: ServeOptions,
): Promise<void> {
  if (!stop.aborted) await once(stop, 'abort');
  state.stopping = true;
  log.info('stopping: waiting for requests and mail in flight');
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await Promise.race([closed, grace(finishMs, hasten)]);
  server.closeAllConnections();
  await closed;
}

/** With `PORT=0` and no `PUBLIC_URL`, the address for links is known only once the server listens. */
function withRealPort(context: MailingContext, port: number): MailingContext {
  const { config } = context;
  if (config.port !== 0 || config.publicUrl !== 'http://localhost:0') return context;
  return { ...context, config: { ...config, publicUrl: `http://localhost:${port}` } };
}

function warnAboutRiskySettings({ config, log }: MailingContext): void {
  if (!config.production || config.captcha.kind !== 'none') return;
  const replies = config.autoReply ? ', and make this server send auto-replies to any address' : '';
  log.warn(`CAPTCHA is none: programs can post like people${replies}; set CAPTCHA=altcha`);
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
  const mailbox = mailboxKey === undefined ? '' : `\n  mailbox       ${config.publicUrl}/mailbox?key=${mailboxKey}`;
  print(`ruffinweb listens on ${address}

  landing page  ${config.publicUrl}/
  database      ${database}
  mail          ${mailer.describes}${mailbox}

Post a message from another terminal:

  curl -s -H 'Content-Type: application/json' -d '{"name":"Ada","email":"ada@example.com","message":"Hello!"}' ${address}/api/messages

and look at it:

  ${calledAs} messages list
`);
}
