import { expect } from 'chai';
import { runHere } from '../cli/terminal.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer, type Settings } from '../support/program.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

/** The limit in `docs/operating/running.md`: a service manager kills a process that takes longer to stop. */
const stopMs = 30_000;

describe('stopping while the database is frozen', () => {
  let db: TestDatabase;
  let proxy: TcpProxy;
  let smtp: SmtpServer;
  let settings: Settings;

  beforeEach(async () => {
    db = await createDatabase();
    proxy = await TcpProxy.before(db.url);
    smtp = await startSmtpServer();
    settings = {
      DATABASE_URL: proxy.urlOf(db.url),
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'site@site.test',
      NOTIFY_TO: 'owner@site.test',
    };
  });
  afterEach(async () => {
    await smtp[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  const post = async () => {
    await using context = await openTestContext(db, settings.DATABASE_URL ? { NOTIFY_TO: 'owner@site.test' } : {});
    await buildMessages(context, 1);
  };
  const listening = async () =>
    (await db
      .query(`select from pg_stat_activity where datname = $1 and application_name like 'ruffinweb listener%'`, [
        db.name,
      ])
      .then((rows) => rows.length)) > 0;

  /** Asks it to stop; undefined if it does not stop in time. */
  async function stopped(process: RunningServer) {
    const { promise: late, resolve } = Promise.withResolvers<undefined>();
    const timer = setTimeout(() => resolve(undefined), stopMs);
    const ended = await Promise.race([process.stop('SIGTERM'), late]);
    clearTimeout(timer);
    return ended;
  }

  for (const [name, args] of [
    ['an idle worker', ['deliver']],
    ['an idle server', ['serve']],
  ] as const) {
    it(`stops ${name} in time`, async () => {
      await using process =
        name === 'an idle server'
          ? await RunningServer.start(settings, args)
          : await RunningServer.startCommand(args, settings);
      await until('it listens', listening);
      proxy.mode = 'swallow';
      expect(await stopped(process)).to.deep.include({ signal: null });
    });
  }

  it('stops a worker that cannot record a result', async () => {
    await post();
    smtp.answer('dot', 'hold', { to: 'owner', times: 1 });
    await using worker = await RunningServer.startWorker(settings);
    const held = await smtp.heldAfterDot();
    proxy.mode = 'swallow';
    const stopping = stopped(worker);
    held.release();
    expect(await stopping).to.deep.include({ signal: null });

    const state = async () => (await db.emails())['notification queued'];
    expect(await state(), 'the lease keeps it').to.equal(1);
    await db.makeAllDue();
    await runHere(['deliver', '--once'], db, { settings: { ...settings, DATABASE_URL: db.url } });
    expect((await db.emails())['notification sent']).to.equal(1);
    const copies = smtp.messages.filter((it) => it.to[0] === 'owner@site.test');
    expect(new Set(copies.map((it) => it.raw))).to.have.lengthOf(1);
  });
});
