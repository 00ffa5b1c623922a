import { expect } from 'chai';
import type { MailingContext } from '../../src/mailing-context.ts';
import { runDeliveryLoop } from '../../src/services/delivery/delivery-loop.ts';
import { createNewMailSignal } from '../../src/services/delivery/new-mail-signal.ts';
import { pauseQueue, readPause, resumeQueue } from '../../src/services/delivery/pause/pause.ts';
import { probeMail } from '../../src/services/delivery/pause/probe-mail-server.ts';
import { Worker } from '../../src/services/delivery/worker.ts';
import { createEmailJob } from '../../src/services/emails/email-job.ts';
import { openScope } from '../../src/services/scope.ts';
import { runHere } from '../cli/terminal.ts';
import { buildMessages, deliverTo } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import type { Settings } from '../support/program.ts';
import { mailerTo } from '../support/smtp-mail.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

describe('a mail server that is away', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let settings: Settings;
  let context: MailingContext;

  before(async () => {
    db = await createDatabase();
    await db.liftHourlyLimits();
    smtp = await startSmtpServer();
    settings = {
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'site@site.test',
      NOTIFY_TO: 'owner@site.test',
    };
    context = await openTestMailing(db, settings);
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await smtp[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    smtp.reset();
    await db.empty();
  });

  const goAway = (times = Number.POSITIVE_INFINITY) => smtp.answer('greeting', 'drop', { times });
  const lanes = 10;
  /** A mailer ends with its worker. */
  const deliver = () => deliverTo(smtp, context, { lanes });
  const pausedFor = async () => (await readPause(openScope(context).em, context.keyring))?.cause ?? null;
  const attempts = async () =>
    (await db.query<{ outcome: string }>('select outcome from attempts')).map((it) => it.outcome);
  const emails = () => db.query('select distinct state, tries from emails');
  const probe = (options: { atOnce?: boolean } = { atOnce: true }) =>
    probeMail(context, new AbortController().signal, options);
  /** Time passes for the queue, its mail and the records of attempts. */
  const pass = async (seconds: number) => {
    const earlier = (column: string) => `${column} = ${column} - interval '${seconds} seconds'`;
    await db.query(`update mail_queue set ${earlier('paused_at')}, ${earlier('probed_at')}`);
    await db.query(`update emails set ${earlier('due_at')} where state = 'queued'`);
    await db.query(`update attempts set ${earlier('finished_at')}`);
  };

  it('pauses the queue after one probe, with one attempt for each lane', async () => {
    await buildMessages(context, 15);
    goAway();
    const before = smtp.connections.total;
    await deliver();

    expect(await pausedFor()).to.equal('away');
    const made = await attempts();
    expect(new Set(made)).to.deep.equal(new Set(['away']));
    expect(made).to.have.lengthOf.within(1, lanes);
    expect(smtp.connections.total - before, 'and one probe').to.equal(made.length + 1);
    expect(await emails()).to.deep.equal([{ state: 'queued', tries: 0 }]);

    smtp.reset();
    await deliver();
    expect(await pausedFor(), 'a worker that starts asks at once').to.equal(null);
    expect(smtp.messages, 'and all of it is due').to.have.lengthOf(30);
  });

  it('pauses nothing if the probe is answered: then only that mail waits', async () => {
    await buildMessages(context, 1);
    goAway(1);
    await deliver();

    expect(await pausedFor()).to.equal(null);
    expect((await attempts()).toSorted()).to.deep.equal(['accepted', 'away']);
    const [waiting] = await db.query<{ tries: number; seconds: number }>(
      `select tries, extract(epoch from due_at - now())::float8 as seconds from emails where state = 'queued'`,
    );
    expect(waiting?.tries).to.equal(0);
    expect(waiting?.seconds).to.be.within(0, 5);
  });

  it('pauses nothing within 60 seconds of an accepted mail', async () => {
    await buildMessages(context, 1);
    await deliver();
    await buildMessages(context, 1, () => ({ message: 'Another', email: 'bob@example.test' }));
    goAway();
    for (const seconds of [0, 20, 30]) {
      await pass(seconds);
      await deliver();
      expect(await pausedFor(), `${seconds} s later`).to.equal(null);
    }
    expect(await db.query(`select distinct tries from emails where state = 'queued'`)).to.deep.equal([{ tries: 0 }]);
    expect(
      (await attempts()).filter((it) => it === 'away'),
      'one for each email',
    ).to.have.lengthOf(2);
    await pass(11);
    await deliver();
    expect(await pausedFor()).to.equal('away');
    expect((await attempts()).filter((it) => it === 'away')).to.have.lengthOf(2);
  });

  it('that only limits our connections gets mail through the others', async () => {
    await buildMessages(context, 20);
    smtp.answer('greeting', () => (smtp.connections.open > 2 ? '421 4.7.0 too many connections' : undefined));
    await deliver();
    expect(await pausedFor()).to.equal(null);
    expect(await attempts()).to.include('away');
    expect(smtp.messages.length).to.be.greaterThan(20);
    expect(await db.query(`select distinct tries from emails where state = 'queued'`)).to.deep.equal([{ tries: 0 }]);
  });

  it('that takes one connection gets all mail through it within seconds', async () => {
    await buildMessages(context, 10);
    smtp.answer('greeting', () => (smtp.connections.open > 1 ? '421 4.7.0 too many connections' : undefined));
    const mailer = mailerTo(smtp, { lanes, idleMs: 20_000 });
    const stop = new AbortController();
    const loop = runDeliveryLoop(context, createEmailJob({ ...context, mailer }), createNewMailSignal(), stop.signal);
    try {
      await until('all 20 are sent', () => smtp.messages.length === 20, 20_000);
    } finally {
      stop.abort();
      await loop;
    }
  });

  it('is probed after 5, 10, 20, 40 and then 60 seconds, by one worker', async () => {
    await pauseQueue(openScope(context), 'away', 'connect ECONNREFUSED');
    goAway();
    /** Paused this long ago, and last probed so many seconds after that: how long until the next probe. */
    const waits = [
      [0, 5],
      [5, 10],
      [15, 20],
      [35, 40],
      [75, 60],
      [7200, 60],
    ];
    const asks = async (probedAfter: number, wait: number) => {
      await db.query(`update mail_queue set paused_at = now() - interval '${probedAfter + wait} seconds',
        probed_at = now() - interval '${wait} seconds'`);
      const before = smtp.connections.total;
      await Promise.all([probe({}), probe({}), probe({})]);
      return smtp.connections.total - before;
    };
    for (const [probedAfter = 0, wait = 0] of waits) {
      expect(await asks(probedAfter, wait - 1), `${wait - 1} s after ${probedAfter} s`).to.equal(0);
      expect(await asks(probedAfter, wait), `${wait} s after ${probedAfter} s`).to.equal(1);
    }
  });

  it('turns into "broken" and back, and then mail goes on', async () => {
    await buildMessages(context, 1);
    goAway();
    await deliver();
    const since = (await readPause(openScope(context).em, context.keyring))?.since;
    for (const [step, answer, cause, reason] of [
      ['mail', '550 5.7.1 not for you', 'broken', '550 5.7.1 not for you'],
      ['greeting', '421 4.3.2 busy', 'away', '421 4.3.2 busy'],
      ['greeting', '554 5.7.1 no', 'broken', '554 5.7.1 no'],
      ['mail', '451 4.3.0 not now', 'broken', '554 5.7.1 no'],
      ['ehlo', 'drop', 'away', 'Connection closed unexpectedly'],
    ] as const) {
      smtp.reset();
      smtp.answer(step, answer);
      expect(await probe()).to.equal(false);
      expect(await readPause(openScope(context).em, context.keyring)).to.deep.equal({ cause, since, reason });
    }
    smtp.reset();
    smtp.answer('mail', '451 4.3.0 not now');
    expect(await probe(), 'it answers, so it is not away').to.equal(true);
    expect(await pausedFor()).to.equal(null);
  });

  it('leaves a pause by hand alone', async () => {
    await pauseQueue(openScope(context), 'away', 'connect ECONNREFUSED');
    await pauseQueue(openScope(context), 'hand', 'moving');
    expect(await pausedFor()).to.equal('hand');
    expect(await probe()).to.equal(false);
    goAway();
    expect(await probe()).to.equal(false);
    expect(await pausedFor()).to.equal('hand');
    await resumeQueue(openScope(context));
    expect(await db.query('select is_away as "isAway" from mail_queue')).to.deep.equal([{ isAway: false }]);
  });

  it('is named by health, the list of emails and deliver', async () => {
    await buildMessages(context, 1);
    await pauseQueue(openScope(context), 'away', 'connect ECONNREFUSED');
    const fact = `the queue is paused, because no mail server answers at ${smtp.host}:${smtp.port} (connect ECONNREFUSED)`;
    const run = async (...args: string[]) => await runHere(args, db, { settings });
    goAway();
    const { checks } = JSON.parse((await run('health', '--json')).stdout);
    const queue = checks.find((it: { name: string }) => it.name === 'queue');
    expect(queue.status).to.equal('fail');
    expect(queue.fact).to.include(fact);
    expect(queue.fix).to.include('SMTP_PORT').and.include('once a minute');
    expect(checks.find((it: { name: string }) => it.name === 'mail').fix).to.include('firewall');
    expect((await run('emails', 'list')).stderr).to.include(fact);
    expect(JSON.parse((await run('deliver', '--once', '--json')).stdout).paused.cause).to.equal('away');
  });

  it('of two hours costs no attempt, and the first mail leaves within 65 seconds', async () => {
    await buildMessages(context, 10);
    await using mailer = mailerTo(smtp, { lanes });
    const worker = new Worker(context, createEmailJob({ ...context, mailer }), new AbortController().signal);
    /** Five seconds of a worker: it looks once. @returns whether mail was sent. */
    const look = async () => {
      await pass(5);
      await worker.takeDue();
      await until('the worker has nothing under way', () => worker.isIdle);
      return smtp.messages.length > 0;
    };
    goAway();
    const before = smtp.connections.total;
    for (let seconds = 0; seconds < 180; seconds += 5) await look();
    await pass(7200 - 180);
    await look();
    expect(await emails()).to.deep.equal([{ state: 'queued', tries: 0 }]);
    const away = await attempts();
    expect(away).to.have.lengthOf.within(1, lanes);
    expect(smtp.connections.total - before, 'and 7 probes').to.be.at.most(away.length + 8);

    smtp.reset();
    let seconds = 5;
    while (!(await look())) seconds += 5;
    expect(seconds).to.be.at.most(65);
    await worker.stop();
  });
});
