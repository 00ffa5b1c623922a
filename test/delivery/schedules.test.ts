import { expect } from 'chai';
import { runHere } from '../cli/terminal.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import type { Settings } from '../support/program.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';

/** An email's retry schedule begins when it is created, and again when an operator releases or resends it. */
describe('the retry schedule', () => {
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
  /** Nothing of what was posted is from today. */
  const age = (hours: number) =>
    db.query(
      `update emails set created_at = created_at - $1::int * interval '1 hour', requeued_at = requeued_at - $1::int * interval '1 hour'`,
      [hours],
    );
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

  it('restarts on release, with the Date of the release', async () => {
    const [{ receipt } = { receipt: '' }] = await buildMessages(context, 1, () => ({ _gotcha: 'x' }));
    await age(240);
    const before = await notification();
    await run('messages', 'release', receipt);
    smtp.answer('dot', '450 4.2.0 not now', { times: 1 });
    await deliver();
    await db.makeAllDue();
    await deliver();

    const [first, second, ...others] = identities();
    expect(others).to.deep.equal([]);
    expect(first?.hoursAgo).to.equal(0);
    expect(second).to.deep.equal(first);
    expect(first?.messageId).to.equal(before.internet_message_id);
    const shown = JSON.parse((await run('emails', 'show', before.id, '--mail', '--json')).stdout);
    expect(Date.parse(new Map<string, string>(shown.mail.headers).get('Date') ?? '')).to.equal(
      Date.parse(first?.date ?? ''),
    );
  });

  it('restarts on resend, with the Date of the resend', async () => {
    for (const outcome of [mailOutcomes.refused, mailOutcomes.later, mailOutcomes.unknown]) {
      await buildMessages(context, 1);
      await age(50);
      await settleDue(context, () => outcome);
      const { id, internet_message_id } = await notification();
      await run('emails', 'resend', id);
      await deliver();
      const [only, ...others] = identities();
      expect(others).to.deep.equal([]);
      expect(only?.hoursAgo, outcome.result).to.equal(0);
      expect(only?.messageId).to.equal(internet_message_id);
      smtp.reset();
      await db.empty();
    }
  });

  it('restarts on release after a dead worker, same Message-ID', async () => {
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

  it('does not restart on a retry: Date and Message-ID stay', async () => {
    await buildMessages(context, 1);
    await age(50);
    const { internet_message_id } = await notification();
    smtp.answer('dot', '450 4.2.0 not now', { times: 2 });
    await deliver();
    await db.makeAllDue();
    await deliver();
    expect(identities()).to.have.lengthOf(2);
    for (const it of identities()) expect(it).to.include({ hoursAgo: 50, messageId: internet_message_id });
  });

  describe('of an auto-reply: one day', () => {
    const replies = () => smtp.messages.filter((it) => it.to[0] !== 'owner@site.test');
    const autoReplies = async () =>
      await db.query<{ id: string; state: string; failure: string | null; tries: number }>(
        `select id, state, failure, tries from emails where kind = 'auto-reply' order by id`,
      );
    /** A post a day by one person, while the mail server is away. */
    const outage = async (days: number) => {
      for (let day = 1; day <= days; day++) {
        await age(24);
        await db.query(`update reply_days set replied_at = replied_at - interval '1 day'`);
        await buildMessages(context, 1, () => ({ message: `Day ${day}` }));
      }
    };

    it('sends one auto-reply for four daily posts, and each notification', async () => {
      await outage(4);
      expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 4, 'notification queued': 4 });
      await deliver();
      expect(replies()).to.have.lengthOf(1);
      expect(smtp.messages).to.have.lengthOf(5);
      const late = { state: 'cancelled', failure: 'too-late', tries: 0 };
      expect((await autoReplies()).map(({ id, ...it }) => it)).to.deep.equal([
        late,
        late,
        late,
        { state: 'sent', failure: null, tries: 1 },
      ]);
    });

    it('shows the reason in the list, with the email and in the log', async () => {
      await outage(1);
      await age(25);
      await deliver();
      const [{ id } = { id: '' }] = await autoReplies();
      expect((await run('emails', 'list')).stdout).to.match(/cancelled .* too-late/);
      const shown = await run('emails', 'show', id);
      expect(shown.stdout).to.include('too-late: it waited for more than a day');
      expect(shown.stderr).to.include(`ruffinweb emails resend ${id} --again`);
      expect(JSON.parse((await run('emails', 'show', id, '--json')).stdout)).to.include({
        state: 'cancelled',
        failure: 'too-late',
        tries: 0,
      });
    });

    it('cancels a delayed or unwanted auto-reply when it is due', async () => {
      await buildMessages(context, 2);
      await settleDue(context, () => mailOutcomes.later);
      await age(25);
      await db.query(`update senders set blocked_at = now() where id = (select sender_id from emails
        where kind = 'auto-reply' order by id limit 1)`);
      await db.makeAllDue();
      await deliver();
      expect(replies()).to.have.lengthOf(0);
      expect((await autoReplies()).map((it) => [it.state, it.failure, it.tries])).to.deep.equal([
        ['cancelled', 'unwanted', 1],
        ['cancelled', 'too-late', 1],
      ]);
    });

    it('restarts if an operator resends it by id, in any state', async () => {
      await buildMessages(context, 3);
      const [waiting, failed, cancelled] = (await autoReplies()).map((it) => it.id) as [string, string, string];
      await settleDue(context, (it) => (it.id === failed ? mailOutcomes.refused : mailOutcomes.later));
      await age(25);
      await past.dueNow(db, cancelled);
      await deliver();
      // Due, and not taken yet: the operator comes first.
      await past.dueNow(db, waiting);
      await run('emails', 'resend', waiting, failed);
      await run('emails', 'resend', cancelled, '--again');
      await deliver();
      expect(replies()).to.have.lengthOf(3);
      expect(await db.emails()).to.deep.include({ 'auto-reply sent': 3, 'auto-reply cancelled': 1 });
    });

    it('cancels nothing if the worker died: it may have arrived', async () => {
      await buildMessages(context, 1);
      await age(25);
      await db.query(`update emails set lease_token = gen_random_uuid(), tries = 1 where kind = 'auto-reply'`);
      const [{ id } = { id: '' }] = await autoReplies();
      const { stdout } = await run('emails', 'resend', id, '--json');
      expect(JSON.parse(stdout).items[0]).to.include({ result: 'already-queued' });
      await deliver();
      expect(replies()).to.have.lengthOf(0);
      expect((await autoReplies())[0]).to.include({ state: 'failed', failure: 'outcome-unknown' });
    });

    it('lasts another day after a resend', async () => {
      await buildMessages(context, 1);
      await settleDue(context, () => mailOutcomes.later);
      await age(25);
      const [{ id } = { id: '' }] = await autoReplies();
      await run('emails', 'resend', id);
      await settleDue(context, () => mailOutcomes.later);
      await age(23);
      await past.dueNow(db, id);
      await settleDue(context, () => mailOutcomes.later);
      await age(2);
      await past.dueNow(db, id);
      await deliver();
      expect(replies()).to.have.lengthOf(0);
      expect((await autoReplies())[0]).to.include({ state: 'cancelled', failure: 'too-late' });
    });

    it('does not restart for a query, which could send days of mail', async () => {
      for (const [outcome, option] of [
        [mailOutcomes.refused, '--failed'],
        [mailOutcomes.later, '--queued'],
      ] as const) {
        await outage(3);
        await settleDue(context, () => outcome);
        const { stdout } = await run('emails', 'resend', option, '--json');
        const items: { result: string; reason: string | null }[] = JSON.parse(stdout).items;
        const skipped = items.filter((it) => it.result === 'skipped');
        expect(skipped.map((it) => it.reason)).to.deep.equal(Array(2).fill('an auto-reply of more than a day ago'));
        expect((await run('emails', 'resend', option, '--kind', 'auto-reply')).stderr).to.include(
          'To send skipped emails too: ruffinweb emails resend ',
        );
        await deliver();
        expect(replies(), option).to.have.lengthOf(1);
        expect(smtp.messages).to.have.lengthOf(4);
        smtp.reset();
        await db.empty();
      }
    });
  });
});
