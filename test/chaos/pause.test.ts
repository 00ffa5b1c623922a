import { expect } from 'chai';
import { pauseQueue } from '../../src/services/delivery/pause/pause.ts';
import { probeMail } from '../../src/services/delivery/pause/probe-mail-server.ts';
import type { Health } from '../../src/services/health/health.ts';
import { openScope } from '../../src/services/scope.ts';
import { runHere } from '../cli/terminal.ts';
import { clientOf, submission } from '../support/api.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext, openTestMailing } from '../support/context.ts';
import { copyDatabase, createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

describe('the mail queue', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let settings: Settings;

  before(async () => {
    db = await createDatabase();
    smtp = await startSmtpServer({ auth: { user: 'site', password: 'p4ssword' } });
    settings = {
      DATABASE_URL: db.url,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      SMTP_USER: 'site',
      SMTP_PASSWORD: 'p4ssword',
      MAIL_FROM: 'Site <site@site.test>',
      NOTIFY_TO: 'owner@site.test',
    };
  });
  after(async () => {
    await smtp[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    smtp.reset();
    await db.empty();
  });

  const post = async (count: number) => {
    await using context = await openTestContext(db, settings);
    await buildMessages(context, count);
  };
  const pausedFor = async () =>
    (await db.query<{ cause: string | null }>('select cause from mail_queue')).map((it) => it.cause)[0];
  const nothingUnderWay = () =>
    until('nothing is under way', async () => {
      const [row] = await db.query<{ n: number }>(
        'select count(*)::int as n from emails where lease_token is not null',
      );
      return row?.n === 0;
    });
  const logins = () => smtp.commands.filter((it) => it.startsWith('AUTH')).length;
  const loud = (log: string) => log.split('\n').filter((it) => it.includes('"level":"error"'));

  it('pauses when the mail server rejects the login', async () => {
    await post(10);
    smtp.answer('auth', '535 5.7.8 wrong, site@site.test');
    await using worker = await RunningServer.startWorker(settings);
    await until('it is paused', async () => (await pausedFor()) === 'broken');
    await nothingUnderWay();
    const loginsBefore = logins();

    const other = await ruffinweb(['deliver', '--once'], settings);
    expect(other.stdout).to.match(/^mail is paused: \d+ due\n$/);
    expect(other.stderr).to.include('Nothing is sent: ').and.include('535 5.7.8 wrong');
    expect(logins(), 'a worker that starts asks once').to.equal(loginsBefore + 1);
    await db.makeAllDue();
    await db.query(`select pg_notify('ruffinweb_emails', '')`);
    expect((await worker.stop()).code).to.equal(0);

    expect(logins(), 'nobody asks again within the minute').to.equal(loginsBefore + 1);
    expect(loud(worker.log), worker.log).to.have.lengthOf(1);
    expect(loud(worker.log)[0]).to.include('the queue is paused, because the mail server does not let us in');
    expect(await db.query(`select distinct state, tries from emails`)).to.deep.equal([{ state: 'queued', tries: 0 }]);
    const [row] = await db.query<{ reason: Buffer }>('select reason from mail_queue');
    expect(row?.reason.toString('latin1'), 'what a server says is sealed').to.not.include('site@');
  });

  it('pauses when our sender is rejected, until it is accepted', async () => {
    await post(10);
    smtp.answer('mail', '550 5.7.1 not for site@site.test');
    await ruffinweb(['deliver', '--once'], settings);
    expect(await pausedFor()).to.equal('broken');
    const begun = smtp.commands.filter((it) => it.startsWith('MAIL')).length;
    const again = await ruffinweb(['deliver', '--once'], settings);
    expect(again.stderr).to.include('550 5.7.1 not for site@site.test').and.include('MAIL_FROM');
    expect(smtp.commands.filter((it) => it.startsWith('MAIL')).length, 'the probe alone').to.equal(begun + 1);
    expect(await db.query(`select distinct state, tries from emails`)).to.deep.equal([{ state: 'queued', tries: 0 }]);

    smtp.reset();
    await db.makeAllDue();
    await ruffinweb(['deliver', '--once'], settings);
    expect(await db.emails()).to.deep.equal({ 'auto-reply sent': 10, 'notification sent': 10 });
  });

  it('is probed by one worker a minute, and resumes', async () => {
    await post(3);
    smtp.answer('auth', '535 5.7.8 wrong');
    await using worker = await RunningServer.startWorker(settings);
    await until('it is paused', async () => (await pausedFor()) === 'broken');
    await nothingUnderWay();
    await using other = await RunningServer.startWorker({ ...settings, LOG_LEVEL: 'debug' });
    await until('the other one has asked', () => other.log.includes('still the mail server does not let us in'));
    smtp.reset();
    await db.makeProbeDue();
    await smtp.received(6, 20_000);
    await until('all are settled', async () => !Object.keys(await db.emails()).some((it) => it.endsWith('queued')));
    await until('one says so', () => `${worker.log}${other.log}`.includes('lets us in again'));
    expect(`${worker.log}${other.log}`.match(/lets us in again/g)).to.have.lengthOf(1);
    expect(await pausedFor()).to.equal(null);
    expect(await db.emails()).to.deep.equal({ 'auto-reply sent': 3, 'notification sent': 3 });

    await Promise.all([worker.stop(), other.stop()]);
    await ruffinweb(['emails', 'pause'], settings);
    await db.query(`update mail_queue set cause = 'broken', probed_at = now() - interval '2 minutes'`);
    smtp.answer('auth', '535 5.7.8 still wrong');
    smtp.commands.length = 0;
    await using mailing = await openTestMailing(db, settings);
    const { signal } = new AbortController();
    const probes = await Promise.all(Array.from({ length: 6 }, () => probeMail(mailing, signal)));
    expect(probes).to.deep.equal(Array(6).fill(false));
    expect(logins(), 'of six one asks').to.equal(1);

    const asksAfter = async (paused: string, probed: string) => {
      await db.query(`update mail_queue set paused_at = now() - interval '${paused}',
        probed_at = now() - interval '${probed}'`);
      const before = logins();
      await probeMail(mailing, signal);
      return logins() > before;
    };
    await pauseQueue(openScope(mailing), 'hand', '550 5.7.1 your host is on a list');
    await db.query(`update mail_queue set cause = 'broken'`);
    expect(await asksAfter('3 hours', '61 seconds'), 'once a minute for what is no login').to.equal(true);
    await pauseQueue(openScope(mailing), 'hand', '535 5.7.8 wrong');
    await db.query(`update mail_queue set cause = 'broken'`);
    expect(await asksAfter('4 minutes', '61 seconds')).to.equal(true);
    expect(await asksAfter('10 minutes', '61 seconds')).to.equal(false);
    expect(await asksAfter('10 minutes', '125 seconds')).to.equal(true);
    expect(await asksAfter('3 hours', '14 minutes')).to.equal(false);
    expect(await asksAfter('3 hours', '16 minutes')).to.equal(true);
    await asksAfter('3 hours', '1 second');
    const before = logins();
    await probeMail(mailing, signal, { atOnce: true });
    expect(logins(), 'a worker that starts asks at once').to.equal(before + 1);
  });

  it('reports a manual pause in health, list and /readyz', async () => {
    await post(1);
    await using folder = await temporaryFolder();
    const withFolder = { ...settings, DATA_DIR: folder.path };
    const paused = await runHere(['emails', 'pause', '--reason', 'new server\u001b[31m', '--json'], db);
    expect(JSON.parse(paused.stdout).paused).to.include({ cause: 'hand', reason: 'new server\u001b[31m' });

    await using server = await RunningServer.start(withFolder);
    await db.query(`update mail_queue set probed_at = now() - interval '1 hour'`);
    await db.query(`select pg_notify('ruffinweb_emails', '')`);
    const once = await ruffinweb(['deliver', '--once'], withFolder);
    expect(once.stderr).to.include('paused by hand: new server\\u{1b}[31m');
    expect(smtp.connections.open).to.equal(0);
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });

    expect((await runHere(['emails', 'list'], db)).stderr)
      .to.include('paused by hand')
      .and.include('emails resume');
    const health = JSON.parse((await runHere(['health', '--json'], db, { settings: withFolder })).stdout) as Health;
    const queue = health.checks.find((it) => it.name === 'queue');
    expect(queue).to.include({ status: 'warn', fix: 'ruffinweb emails resume' });
    expect(queue?.fact).to.match(/^the queue was paused by hand: new server.*; 2 queued/);
    const ready = await clientOf(server.url).get('/readyz');
    expect(ready.status, 'a paused queue keeps nobody from posting').to.equal(200);
    expect(ready.json.checks.queue).to.equal('paused: hand');
    expect((await clientOf(server.url).post('/api/messages', submission({ email: 'b@example.test' }))).status).to.equal(
      201,
    );

    expect((await runHere(['emails', 'resume'], db)).stdout).to.equal('mail goes on\n');
    await smtp.received(4);
    expect((await runHere(['emails', 'resume'], db)).stdout).to.equal('mail was not paused\n');
    expect((await clientOf(server.url).get('/readyz')).json.checks.queue).to.equal('ok');
  });

  it('stays paused by hand when the mail server works again', async () => {
    await post(1);
    await ruffinweb(['deliver', '--once'], { ...settings, SMTP_PASSWORD: 'wrong' });
    expect(await pausedFor()).to.equal('broken');
    await runHere(['emails', 'pause'], db);
    await ruffinweb(['deliver', '--once'], settings);
    expect(await pausedFor()).to.equal('hand');

    await runHere(['emails', 'resume'], db);
    await db.makeAllDue();
    await ruffinweb(['deliver', '--once'], { ...settings, SMTP_PASSWORD: 'wrong' });
    smtp.answer('auth', 'hold');
    await using mailing = await openTestMailing(db, settings);
    const probe = probeMail(mailing, new AbortController().signal, { atOnce: true });
    const held = await smtp.held('auth');
    await runHere(['emails', 'pause'], db);
    held.release();
    expect(await probe, 'paused by hand while it was asked').to.equal(false);
    expect(await pausedFor()).to.equal('hand');
    expect(smtp.messages).to.have.lengthOf(0);
  });

  it('starts paused after a restored backup, until "resume"', async () => {
    await post(1);
    await ruffinweb(['deliver', '--once'], settings);
    expect(smtp.messages).to.have.lengthOf(2);
    // The backup is from just before that.
    await db.query(`update emails set state = 'queued', sent_at = null, tries = 0`);
    await using restored = await copyDatabase(db);
    const there = { ...settings, DATABASE_URL: restored.url };

    const first = await ruffinweb(['deliver', '--once'], there);
    expect(loud(first.stderr)).to.have.lengthOf(1);
    expect(first.stderr).to.include('this database was restored from a backup');
    const second = await ruffinweb(['deliver', '--once'], there);
    expect(loud(second.stderr), 'said once').to.have.lengthOf(0);
    expect(second.stderr).to.include('restored from a backup or moved');
    expect(smtp.messages, 'nothing is sent twice').to.have.lengthOf(2);
    expect(await restored.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });

    await runHere(['emails', 'resume'], restored);
    await ruffinweb(['deliver', '--once'], there);
    await ruffinweb(['deliver', '--once'], there);
    expect(smtp.messages).to.have.lengthOf(4);
    await ruffinweb(['deliver', '--once'], settings);
    expect(smtp.messages, 'the original never paused').to.have.lengthOf(6);
  });

  it('notices a restore into the same database', async () => {
    await using same = await createDatabase();
    const there = { ...settings, DATABASE_URL: same.url };
    await ruffinweb(['deliver', '--once'], there);
    // Does what "pg_restore --clean" does.
    await same.query(`create table restored (like mail_queue including all);
      insert into restored select * from mail_queue; drop table mail_queue; alter table restored rename to mail_queue`);
    expect((await ruffinweb(['deliver', '--once'], there)).stderr).to.include('restored from a backup');

    await same.query('update mail_queue set paused_at = null, cause = null');
    await same.query('revoke execute on function pg_control_system() from public');
    const role = `plain_${process.pid}`;
    await same.query(`create role ${role} login password 'plain'`);
    try {
      await same.query(`grant all on all tables in schema public to ${role}`);
      const url = new URL(same.url);
      [url.username, url.password] = [role, 'plain'];
      const asked = await ruffinweb(['deliver', '--once'], { ...there, DATABASE_URL: url.href });
      expect(asked.code, asked.stderr).to.equal(0);
      expect(asked.stderr, 'another identity than before').to.include('restored from a backup');
      const [row] = await same.query<{ identity: string }>('select database_identity as identity from mail_queue');
      expect(row?.identity).to.match(/^-\/\d+\/\d+$/);
    } finally {
      await same.query(`drop owned by ${role}; drop role ${role}`);
    }
  });
});
