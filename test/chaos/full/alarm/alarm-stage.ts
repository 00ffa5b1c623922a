import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { MachinePostgres } from '../../../support/machine-postgres.ts';
import { mountDisk } from '../../../support/mounted-disk.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../../../support/program.ts';
import { Receiver } from '../../../support/receiver.ts';
import { type SmtpServer, startSmtpServer } from '../../../support/smtp-server.ts';
import { type ProxyMode, TcpProxy } from '../../../support/tcp-proxy.ts';

const tlsPath = (name: string) => fileURLToPath(new URL(`../../../support/tls/${name}`, import.meta.url));
const credentials = (cert: string) => ({ cert: readFileSync(tlsPath(cert)), key: readFileSync(tlsPath('key.pem')) });
const filler = 'filler';

/** Two servers, a worker and everything around them that can break. */
export class AlarmStage implements AsyncDisposable {
  readonly #opened = new AsyncDisposableStack();
  #processes = new AsyncDisposableStack();
  /** Of the two servers. */
  urls: string[] = [];
  /** The source of every mail that the mail server accepted. */
  readonly mails: string[] = [];
  /** False if this account may mount no disk of its own. */
  readonly hasDisk: boolean;
  readonly receiver: Receiver;
  readonly #postgres: MachinePostgres;
  readonly #databaseProxy: TcpProxy;
  readonly #mailProxy: TcpProxy;
  readonly #mailPort: number;
  #mail: SmtpServer;
  readonly #site = createServer(credentials('cert.pem'));
  readonly #folder: string;

  private constructor(
    parts: { postgres: MachinePostgres; receiver: Receiver; mail: SmtpServer; folder: string },
    proxies: { database: TcpProxy; mail: TcpProxy },
    opened: AsyncDisposableStack,
  ) {
    ({ postgres: this.#postgres, receiver: this.receiver, mail: this.#mail, folder: this.#folder } = parts);
    ({ database: this.#databaseProxy, mail: this.#mailProxy } = proxies);
    this.#mailPort = this.#mail.port;
    this.#opened.use(opened);
    const disk = mountDisk(this.#folder);
    if (disk) this.#opened.use(disk);
    this.hasDisk = disk !== undefined;
  }

  static async open(): Promise<AlarmStage> {
    await using opened = new AsyncDisposableStack();
    const folder = opened.use(await temporaryFolder()).path;
    const postgres = opened.use(await MachinePostgres.open(''));
    const receiver = opened.use(await Receiver.open());
    const mail = await startSmtpServer();
    const database = opened.use(await TcpProxy.before(postgres.urlOf('postgres')));
    const mailProxy = opened.use(await TcpProxy.before(`smtp://${mail.host}:${mail.port}`));
    const parts = { postgres, receiver, mail, folder };
    const stage = new AlarmStage(parts, { database, mail: mailProxy }, opened.move());
    await new Promise<void>((resolve) => stage.#site.listen(0, '127.0.0.1', resolve));
    for (const args of ['migrate up', 'forms change contact --notify-limit off']) {
      const { code, stderr } = await ruffinweb(args.split(' '), stage.#settings(false));
      if (code !== 0) throw new Error(`${args}: ${stderr}`);
    }
    return stage;
  }

  #settings(throughProxies: boolean): Settings {
    const url = this.#postgres.urlOf('postgres');
    const mailUrl = `smtp://127.0.0.1:${this.#mailPort}`;
    return {
      DATABASE_URL: throughProxies ? this.#databaseProxy.urlOf(url) : url,
      DATA_DIR: this.#folder,
      PUBLIC_URL: `https://127.0.0.1:${(this.#site.address() as AddressInfo).port}`,
      NODE_EXTRA_CA_CERTS: tlsPath('cert.pem'),
      SMTP_HOST: '127.0.0.1',
      SMTP_PORT: new URL(throughProxies ? this.#mailProxy.urlOf(mailUrl) : mailUrl).port,
      MAIL_FROM: 'forms@site.test',
      NOTIFY_TO: 'owner@site.test',
      ALERT_URL: `ntfy+${this.receiver.url}/alarm`,
      HOOK_ALLOW_HOSTS: '127.0.0.1',
    };
  }

  /** New processes know of no earlier alert, so the rule about an hour does not hold back those of a second round. */
  async startProcesses({ throughProxies }: { throughProxies: boolean }): Promise<void> {
    await this.#processes.disposeAsync();
    this.#processes = new AsyncDisposableStack();
    await this.query('delete from alerts');
    const settings = this.#settings(throughProxies);
    const serve = () => RunningServer.start(settings, ['serve', '--no-deliver']);
    const servers = await Promise.all([serve(), serve()]);
    const worker = await RunningServer.startWorker(settings);
    for (const it of [...servers, worker]) this.#processes.defer(async () => void (await it.stop()));
    this.urls = servers.map((it) => it.url);
  }

  /** Past the proxies. */
  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    const client = new pg.Client({ connectionString: this.#postgres.urlOf('postgres') });
    await client.connect();
    return (await client.query<Row>(text, values).finally(() => client.end())).rows;
  }

  async stopMail(): Promise<void> {
    await this.#mail[Symbol.asyncDispose]();
    this.#takeMails();
  }

  async startMail(): Promise<void> {
    this.#mail = await startSmtpServer({ port: this.#mailPort });
  }

  setMailNetwork(mode: ProxyMode): void {
    this.#mailProxy.mode = mode;
  }

  setDatabaseNetwork(mode: ProxyMode): void {
    this.#databaseProxy.mode = mode;
  }

  async stopDatabase(): Promise<void> {
    await this.#postgres.stop('fast');
  }

  async startDatabase(): Promise<void> {
    await this.#postgres.start();
  }

  async fillDisk(): Promise<void> {
    await writeFile(join(this.#folder, filler), Buffer.alloc(120 * 2 ** 20));
  }

  async emptyDisk(): Promise<void> {
    await rm(join(this.#folder, filler));
  }

  setCertificate(file: 'cert.pem' | 'expired.pem'): void {
    this.#site.setSecureContext(credentials(file));
  }

  /** Stops the mail server, so that `mails` is complete. */
  async end(): Promise<void> {
    await this.#processes.disposeAsync();
    await this.stopMail();
  }

  #takeMails(): void {
    this.mails.push(...this.#mail.messages.splice(0).map((it) => it.raw));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#processes.disposeAsync();
    this.#site.close();
    this.#site.closeAllConnections();
    await this.#mail[Symbol.asyncDispose]();
    await this.#opened.disposeAsync();
  }
}
