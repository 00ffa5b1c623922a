import { expect } from 'chai';
import type { MailingContext } from '../../src/mailing-context.ts';
import { buildMessages, deliverTo } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer, type Settings } from '../support/program.ts';
import { chaosSeed, randomFrom } from '../support/random.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';

const seed = chaosSeed();
const kills = Number(process.env.CHAOS_KILLS ?? 6);

/** A worker of its own process that is killed or stands still, while others use the same database. */
describe('a worker that is lost under load', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let settings: Settings;
  let context: MailingContext;
  /** Recipients whose mail was allowed to hand its text over: the server said 354, or would have. */
  const atData = new Set<string>();

  before(async () => {
    console.log(`    CHAOS_SEED=${seed}`);
    db = await createDatabase();
    await db.liftHourlyLimits();
    smtp = await startSmtpServer();
    settings = {
      DATABASE_URL: db.url,
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
  beforeEach(async () => {
    smtp.reset();
    atData.clear();
    await db.empty();
    smtp.answer('data', ({ to }) => {
      for (const address of to) atData.add(address);
      return undefined;
    });
  });

  /** Messages with an auto-reply each, as if an hour had passed. */
  const post = async (round: number, count: number) => {
    await db.query('truncate reply_hours');
    await buildMessages(context, count, (index) => ({
      email: `v${round}-${index}@example.test`,
      message: `${round} ${index}`,
    }));
  };
  const deliver = () => deliverTo(smtp, context);
  const unknown = async () =>
    (
      await db.query<{ id: string }>(
        `select id from emails where kind = 'auto-reply' and state = 'failed' and failure = 'outcome-unknown'`,
      )
    ).length;

  /** No copy too many, every owner notified, and only an auto-reply that had reached DATA is uncertain. */
  const everybodyGotTheirMail = async (messages: number) => {
    const states = await db.emails();
    expect(states['notification sent']).to.equal(messages);
    const toVisitors = smtp.messages.flatMap((it) => it.to).filter((it) => it !== 'owner@site.test');
    expect(new Set(toVisitors), 'copies to visitors').to.have.lengthOf(toVisitors.length);
    const failed = await unknown();
    expect((states['auto-reply sent'] ?? 0) + failed).to.equal(messages);
    // Every auto-reply that never came to DATA was sent in the end, so all addresses have been there.
    expect(atData.size, 'the owner and every visitor').to.equal(messages + 1);
    return { failed, states };
  };

  it(`killed ${kills} times loses no auto-reply that had not reached DATA`, async () => {
    const random = randomFrom(seed);
    const reachedAtKill = new Set<string>();
    for (let round = 0; round < kills; round++) {
      await post(round, 30);
      await using worker = await RunningServer.startWorker(settings);
      const before = smtp.commands.length;
      // Every round has 60 mails with MAIL, RCPT and DATA. More commands may come, but need not.
      const after = Math.floor(random() * 180);
      await smtp.until(() => smtp.commands.length - before >= after, `${after} commands`);
      await worker.stop('SIGKILL');
      for (const address of atData) reachedAtKill.add(address);
      await db.makeAllDue();
    }
    await deliver();
    const { failed, states } = await everybodyGotTheirMail(kills * 30);
    console.log(`    ${JSON.stringify(states)}, ${failed} unknown, of ${reachedAtKill.size - 1} at DATA before a kill`);
  }).timeout(60_000 + kills * 10_000);

  it('standing still past its lease (SIGSTOP) sends no second auto-reply', async () => {
    await post(0, 10);
    smtp.answer('data', 'hold', { times: 6 });
    await using worker = await RunningServer.startWorker(settings);
    const held = [];
    for (let count = 0; count < 6; count++) held.push(await smtp.held('data'));
    process.kill(worker.pid, 'SIGSTOP');
    await db.makeAllDue();
    await deliver();
    for (const it of held) it.release();
    process.kill(worker.pid, 'SIGCONT');
    expect(await worker.stop('SIGTERM')).to.include({ code: 0 });
    await db.makeAllDue();
    await deliver();
    await everybodyGotTheirMail(10);
  });
});
