import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { expect } from 'chai';
import pg from 'pg';
import type { MailingContext } from '../../src/mailing-context.ts';
import { conditions, databaseAway } from '../../src/services/alerts/conditions.ts';
import { Watch } from '../../src/services/alerts/watch-conditions.ts';
import { clientOf, submission } from '../support/api.ts';
import { openTestMailing } from '../support/context.ts';
import { MachinePostgres } from '../support/machine-postgres.ts';
import { describeWith } from '../support/machine-programs.ts';
import { mountDisk } from '../support/mounted-disk.ts';
import { ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { Receiver } from '../support/receiver.ts';
import { startServerHere } from '../support/server-here.ts';
import { startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

const tlsFile = (name: string) => readFileSync(new URL(`../support/tls/${name}`, import.meta.url), 'utf8');
const credentials = (cert: string) => ({ cert: tlsFile(cert), key: tlsFile('key.pem') });

describeWith(['pg_ctl'], 'an alarm while everything breaks', () => {
  const opened = new AsyncDisposableStack();
  const former = getCACertificates();
  let postgres: MachinePostgres;
  let receiver: Receiver;
  let mail: Awaited<ReturnType<typeof startSmtpServer>>;
  let mailPort: number;
  let site: ReturnType<typeof createServer>;
  let folder: string;
  let hasDisk = false;
  let url: string;
  let server: string;
  let watches: Watch[];
  let clockMs = 0;

  before(async () => {
    setDefaultCACertificates([...former, tlsFile('cert.pem')]);
    opened.defer(() => setDefaultCACertificates(former));
    [postgres, receiver, mail] = [
      opened.use(await MachinePostgres.open()),
      opened.use(await Receiver.open()),
      await startSmtpServer(),
    ];
    mailPort = mail.port;
    opened.defer(() => mail[Symbol.asyncDispose]());
    folder = opened.use(await temporaryFolder()).path;
    const disk = mountDisk(folder);
    if (disk) opened.use(disk);
    hasDisk = disk !== undefined;
    site = createServer(credentials('cert.pem'));
    await new Promise<void>((resolve) => site.listen(0, '127.0.0.1', resolve));
    opened.defer(() => void site.close());

    url = postgres.urlOf('postgres');
    const settings: Settings = {
      ...{
        DATABASE_URL: url,
        DATA_DIR: folder,
        PUBLIC_URL: `https://127.0.0.1:${(site.address() as AddressInfo).port}`,
      },
      ...{ SMTP_HOST: mail.host, SMTP_PORT: String(mail.port), MAIL_FROM: 'forms@site.test', NOTIFY_TO: 'o@site.test' },
    };
    const told = { ...settings, ALERT_URL: `ntfy+${receiver.url}/alarm`, HOOK_ALLOW_HOSTS: '127.0.0.1' };
    expect((await ruffinweb(['migrate', 'up'], settings)).code).to.equal(0);
    server = opened.use(await startServerHere(settings, { deliver: true })).url;
    const open = async (): Promise<MailingContext> => opened.use(await openTestMailing({ url } as never, told));
    const now = () => new Date(Date.now() + clockMs);
    watches = [await open(), await open()].map((it) => new Watch({ ...it, now }, new AbortController().signal));
  });
  after(() => opened.disposeAsync());

  async function query(text: string): Promise<pg.QueryResultRow[]> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    return (await client.query(text).finally(() => client.end())).rows;
  }

  /** Looks of both servers, a minute after the last. */
  async function look(): Promise<void> {
    clockMs += 60_000;
    const older = `update alerts set since = since - interval '1 minute', told_at = told_at - interval '1 minute'`;
    await query(older).catch(() => {});
    for (const watch of watches) await watch.look();
  }

  /** What two looks tell. */
  async function told(): Promise<string[]> {
    await look();
    await look();
    return receiver.ledger.splice(0).map((it) => (JSON.parse(it.body) as { title: string }).title.replace(/^\S+ /, ''));
  }

  type Step = () => Promise<unknown> | unknown;
  const faults: [alert: string | undefined, times: number, begin: Step, end: Step][] = [
    [
      conditions.paused?.alert,
      1,
      async () => {
        await mail[Symbol.asyncDispose]();
        await clientOf(server).post('/api/messages', submission({}));
        const paused = `select from mail_queue where cause = 'broken'`;
        await until('mail is paused', async () => (await query(paused)).length === 1);
      },
      async () => {
        mail = await startSmtpServer({ port: mailPort });
        await query('update mail_queue set probed_at = null');
        await until(
          'mail is sent',
          async () => (await query('select from mail_queue where cause is null')).length === 1,
        );
      },
    ],
    [
      Object.entries(conditions).find(([name]) => name.startsWith('disk'))?.[1].alert,
      1,
      () => writeFile(join(folder, 'filler'), Buffer.alloc(120 * 2 ** 20)),
      () => rm(join(folder, 'filler')),
    ],
    [
      conditions.certificate?.alert,
      1,
      () => site.setSecureContext(credentials('expired.pem')),
      () => site.setSecureContext(credentials('cert.pem')),
    ],
    [databaseAway.alert, 2, () => postgres.stop('fast'), () => postgres.start()],
  ];

  it('tells each fault and its end, one after the other', async () => {
    const all = faults.filter(([alert]) => hasDisk || alert !== 'a disk is almost full');
    expect(await told(), 'all is well').to.deep.equal([]);
    for (const [alert, times, begin] of all) {
      await begin();
      expect(await told()).to.deep.equal(Array(times).fill(alert));
    }
    expect(await told(), 'nothing is new').to.deep.equal([]);
    for (const [alert, times, , end] of all.toReversed()) {
      await end();
      expect(await told()).to.deep.equal(Array(times).fill(`resolved: ${alert}`));
    }
    expect(await told(), 'all is well again').to.deep.equal([]);
  });
});
