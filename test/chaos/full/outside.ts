import { join } from 'node:path';
import pg from 'pg';
import { type Settings, temporaryFolder } from '../../support/program.ts';
import { Receiver } from '../../support/receiver.ts';
import type { SmtpServerOptions } from '../../support/smtp-server.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';
import { HookSink } from './ledgers/hook-sink.ts';
import { MailSink } from './ledgers/mail-sink.ts';

/** Everything around the processes of the program: it must not forget, and it can break. */
export interface Outside extends AsyncDisposable {
  folder: string;
  /** Past the proxy. */
  databaseUrl: string;
  database: pg.Pool;
  databaseProxy: TcpProxy;
  mail: MailSink;
  mailProxy: TcpProxy;
  hooks: HookSink;
  /** Gets the alerts, as ntfy does. */
  alerts: Receiver;
  /** For every process of the program: everything goes through the proxies. */
  settings: Settings;
}

let serial = 0;

/** @param postgres a server that keeps what it commits. It gets a new, empty database. */
export async function openOutside(
  postgres: { urlOf(database: string): string },
  extra: Settings,
  mailOptions: SmtpServerOptions = {},
): Promise<Outside> {
  await using opened = new AsyncDisposableStack();
  const { path: folder } = opened.use(await temporaryFolder());
  const name = `world_${process.pid}_${++serial}`;
  const databaseUrl = postgres.urlOf(name);
  await createDatabase(postgres.urlOf('postgres'), name);
  const database = new pg.Pool({ connectionString: databaseUrl, max: 3 });
  database.on('error', () => {});
  opened.defer(() => database.end());
  const databaseProxy = opened.use(await TcpProxy.before(databaseUrl));
  const mail = opened.use(await MailSink.open(join(folder, 'mails'), mailOptions));
  const mailProxy = opened.use(await TcpProxy.before(`smtp://${mail.host}:${mail.port}`));
  const hooks = opened.use(await HookSink.open(join(folder, 'calls')));
  const alerts = opened.use(await Receiver.open());
  const { hostname, port } = new URL(mailProxy.urlOf('smtp://127.0.0.1'));
  const settings: Settings = {
    DATABASE_URL: databaseProxy.urlOf(databaseUrl),
    DATA_DIR: folder,
    SMTP_HOST: hostname,
    SMTP_PORT: port,
    // In links; every process of an installation has the same.
    PUBLIC_URL: 'http://localhost:8000',
    MAIL_FROM: 'site@site.test',
    NOTIFY_TO: 'owner@site.test',
    HOOK_ALLOW_HOSTS: '127.0.0.1',
    // Each visitor names a network of its own, since auto-replies are limited by network.
    TRUST_PROXY: '1',
    ALERT_URL: `ntfy+${alerts.url}/alarm`,
    ...extra,
  };
  const owned = opened.move();
  return {
    ...{ folder, databaseUrl, database, databaseProxy, mail, mailProxy, hooks, alerts, settings },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function createDatabase(url: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query(`create database ${name}`).finally(() => client.end());
}
