import { expect } from 'chai';
import { runHere } from '../cli/terminal.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import type { Settings } from '../support/program.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';

/** An email's schedule of tries begins when it is made, and anew when an operator releases or resends it. */
describe('a new schedule', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let settings: Settings;
  let context: Awaited<ReturnType<typeof openTestContext>>;

  before(async () => {
    db = await createDatabase();
    smtp = await startSmtpServer();
    settings = {
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'Site <site@site.test>',
      NOTIFY_TO: 'owner@site.test',
    };
    context = await openTestContext(db, settings);
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

  const run = async (...args: string[]) => {
    const finished = await runHere(args, db, { settings });
    expect(finished.code, finished.stderr).to.equal(0);
    return finished;
  };
  const deliver = () => run('deliver', '--once');
  const dueNow = () => db.query(`update emails set due_at = now() where state = 'queued'`);
  /** Nothing of what was posted is from today. */
  const age = (hours: number) =>
    db.query(`update emails set created_at = created_at - $1::int * interval '1 hour'`, [hours]);
  const notification = async () => {
    const [row] = await db.query<{ id: string; internet_message_id: string }>(
      `select id, internet_message_id from emails where kind = 'notification'`,
    );
    return row ?? { id: '', internet_message_id: '' };
  };
  /** Date and Message-ID of each notification that the mail server was given, whatever it answered. */
  const identities = () =>
    smtp.attempts
      .filter((it) => it.to[0] === 'owner@site.test')
      .map(({ raw }) => ({
        hoursAgo: Math.round((Date.now() - Date.parse(/^Date: (.+)$/m.exec(raw)?.[1] ?? '')) / 3_600_000),
        date: /^Date: (.+)$/m.exec(raw)?.[1],
        messageId: /^Message-ID: (\S+)/im.exec(raw)?.[1],
      }));

  it('of a message that was held for ten days and released has the Date of its release, the same at each try', async () => {
    const [{ receipt } = { receipt: '' }] = await buildMessages(context, 1, () => ({ _gotcha: 'x' }));
    await age(240);
    const before = await notification();
    await run('messages', 'release', receipt);
    smtp.answer('dot', '450 4.2.0 not now', { times: 1 });
    await deliver();
    await dueNow();
    await deliver();

    const [first, second, ...others] = identities();
    expect(others).to.deep.equal([]);
    expect(first?.hoursAgo).to.equal(0);
    expect(second).to.deep.equal(first);
    // Nobody has ever seen the old one.
    expect(first?.messageId).to.include(before.id).and.not.equal(before.internet_message_id);
    expect((await notification()).internet_message_id).to.equal(first?.messageId);
    const shown = JSON.parse((await run('emails', 'show', before.id, '--mail', '--json')).stdout);
    expect(Date.parse(new Map<string, string>(shown.mail.headers).get('Date') ?? '')).to.equal(
      Date.parse(first?.date ?? ''),
    );
  });

  it('of mail that was refused, and of mail that waits, has the Date of the resend and a Message-ID of its own', async () => {
    for (const outcome of [mailOutcomes.refused, mailOutcomes.later]) {
      await buildMessages(context, 1);
      await age(50);
      await settleDue(context, () => outcome);
      const { id, internet_message_id } = await notification();
      await run('emails', 'resend', id);
      await deliver();
      const [only, ...others] = identities();
      expect(others).to.deep.equal([]);
      expect(only?.hoursAgo, outcome.result).to.equal(0);
      expect(only?.messageId).to.not.equal(internet_message_id);
      smtp.reset();
      await db.empty();
    }
  });

  it('of mail that may have arrived keeps the Message-ID, so that a second copy is known', async () => {
    await buildMessages(context, 1);
    await age(50);
    await settleDue(context, () => mailOutcomes.unknown);
    await dueNow();
    await settleDue(context, () => mailOutcomes.refused);
    const { id, internet_message_id } = await notification();
    await run('emails', 'resend', id);
    await deliver();
    expect(identities()).to.have.lengthOf(1);
    expect(identities()[0]).to.include({ hoursAgo: 0, messageId: internet_message_id });
  });

  it('of mail whose worker died, was held and released keeps the Message-ID, and the lost try is on record', async () => {
    const [{ receipt } = { receipt: '' }] = await buildMessages(context, 1);
    // As `claimDue` leaves it, and the lease has ended since.
    await db.query(`update emails set lease_token = gen_random_uuid(), tries = 1 where kind = 'notification'`);
    const { id, internet_message_id } = await notification();
    await run('messages', 'hold', receipt);
    await run('messages', 'release', receipt);
    await deliver();
    expect(identities().map((it) => it.messageId)).to.deep.equal([internet_message_id]);
    const shown = JSON.parse((await run('emails', 'show', id, '--json')).stdout);
    expect(shown.attempts.map((it: { outcome: string }) => it.outcome)).to.deep.equal(['unknown', 'accepted']);
  });

  it('begins with nothing else: until then Date and Message-ID are those of the making', async () => {
    await buildMessages(context, 1);
    await age(50);
    const { internet_message_id } = await notification();
    smtp.answer('dot', '450 4.2.0 not now', { times: 2 });
    await deliver();
    await dueNow();
    await deliver();
    expect(identities()).to.have.lengthOf(2);
    for (const it of identities()) expect(it).to.include({ hoursAgo: 50, messageId: internet_message_id });
  });
});
