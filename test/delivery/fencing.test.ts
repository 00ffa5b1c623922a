import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { MailingContext } from '../../src/mailing-context.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { decideNextStep } from '../../src/services/delivery/retry-schedule.ts';
import { returnUnsent } from '../../src/services/delivery/return-unsent.ts';
import { settleEmails } from '../../src/services/delivery/settle-emails.ts';
import { resendEmails } from '../../src/services/emails/resend-emails.ts';
import { openIntake } from '../../src/services/intake/intake.ts';
import { submitMessage } from '../../src/services/intake/submit-message.ts';
import { holdMessage } from '../../src/services/messages/change-message.ts';
import { openScope, type Scope } from '../../src/services/scope.ts';
import { buildMessages, deliverTo } from '../support/build.ts';
import { openTestContext, openTestMailing, recordStatements } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

describe('a lease', () => {
  let db: TestDatabase;
  let context: Awaited<ReturnType<typeof openTestContext>>;
  let scope: Scope;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db);
    scope = openScope(context);
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
    const values = new Map<string, unknown>([
      ['email', 'ada@example.test'],
      ['message', 'x'],
    ]);
    await using intake = openIntake(context);
    await submitMessage(scope, intake, {
      formSlug: 'contact',
      values,
      clientAddress: undefined,
      idempotencyKey: undefined,
    });
    await db.query(`delete from emails where kind = 'auto-reply'`);
    await db.makeAllDue();
  });

  const accepted = { result: 'accepted' as const, reply: '250 ok', code: 250 };
  const settle = async (email: Awaited<ReturnType<typeof claimDue>>['rows'][number] | undefined) => {
    if (email === undefined) throw new Error('nothing was claimed');
    return await settleEmails(scope, [
      { row: email, startedAt: new Date(), outcome: accepted, next: decideNextStep(email, accepted, 0) },
    ]);
  };

  it('is given to one worker at a time', async () => {
    const claims = await Promise.all(Array.from({ length: 8 }, () => claimDue(scope, 10)));
    expect(claims.flatMap((it) => it.rows)).to.have.lengthOf(1);
    expect((await claimDue(scope, 10)).rows).to.deep.equal([]);
  });

  it('that is lost lets its worker change nothing', async () => {
    const [frozen] = (await claimDue(scope, 10)).rows;
    await db.makeAllDue();
    const [second] = (await claimDue(scope, 10)).rows;
    expect(second?.id).to.equal(frozen?.id);
    expect(second?.leaseToken).to.not.equal(frozen?.leaseToken);

    expect([...(await settle(frozen))]).to.deep.equal([]);
    expect(await db.emails()).to.deep.equal({ 'notification queued': 1 });
    expect([...(await settle(second))]).to.deep.equal([second?.id]);
    expect(await db.emails()).to.deep.equal({ 'notification sent': 1 });
    const outcomes = await db.query('select outcome from attempts');
    expect(outcomes).to.have.deep.members([{ outcome: 'unknown' }, { outcome: 'accepted' }]);
  });

  it('that is returned unused does not count as an attempt', async () => {
    const { rows: emails } = await claimDue(scope, 10);
    await returnUnsent(
      scope,
      emails.map((it) => ({ ...it, leaseToken: randomUUID() })),
    );
    expect((await claimDue(scope, 10)).rows, 'another worker cannot').to.deep.equal([]);
    await returnUnsent(scope, emails);
    let again: Awaited<ReturnType<typeof claimDue>>['rows'] = [];
    // A moment later where the machine's clock was set back between the two.
    await until('it is due again', async () => {
      again = (await claimDue(scope, 10)).rows;
      return again.length > 0;
    });
    expect(again.map((it) => [it.id, it.tries])).to.deep.equal([[emails[0]?.id, 1]]);
    expect(await db.count('attempts')).to.equal(0);
  });

  it('of workers that keep dying ends with the retry schedule', async () => {
    await past.onLastTry(db);
    await claimDue(scope, 10);
    await db.makeAllDue();
    const last = await claimDue(scope, 10);
    expect(last.rows).to.deep.equal([]);
    expect(last.givenUp).to.have.lengthOf(1);
    expect(await db.query('select state, failure, tries from emails')).to.deep.equal([
      { state: 'failed', failure: 'outcome-unknown', tries: 9 },
    ]);
  });
});

/** The first worker stands still at a step, as in SIGSTOP, until its lease has ended and another has delivered. */
describe('an auto-reply whose worker is lost', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let context: MailingContext;

  before(async () => {
    db = await createDatabase();
    await db.liftHourlyLimits();
    smtp = await startSmtpServer();
    context = await openTestMailing(db, { MAIL_FROM: 'site@site.test', NOTIFY_TO: 'owner@site.test' });
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await smtp[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    smtp.reset();
    await db.empty();
    await buildMessages(context, 1);
    await db.query(`delete from emails where kind = 'notification'`);
  });

  const deliver = () => deliverTo(smtp, context);
  const rows = () => db.query('select state, failure, tries from emails');
  const outcomes = async () =>
    (await db.query('select outcome from attempts order by finished_at')).map((it) => it.outcome);

  const sent = { rows: [{ state: 'sent', failure: null, tries: 1 }], outcomes: ['accepted'] };
  const unknown = { rows: [{ state: 'failed', failure: 'outcome-unknown', tries: 1 }], outcomes: ['unknown'] };
  for (const [step, expected] of [
    ['greeting', sent],
    ['ehlo', sent],
    ['mail', sent],
    ['rcpt', sent],
    ['data', sent],
    ['body', unknown],
    ['dot', unknown],
  ] as const) {
    it(`at ${step} ends as "${expected.rows[0]?.state}", and is sent once`, async () => {
      smtp.answer(step, 'hold', { times: 1 });
      const frozen = deliver();
      const held = await smtp.held(step);
      await db.makeAllDue();
      await deliver();
      expect(await rows()).to.deep.equal(expected.rows);
      expect(await outcomes()).to.deep.equal(expected.outcomes);

      held.release();
      await frozen;
      expect(await rows(), 'the lost worker changes nothing').to.deep.equal(expected.rows);
      expect(smtp.messages).to.have.lengthOf(1);
    });
  }

  it('ends as "outcome-unknown" if release 0.2.0 had claimed it', async () => {
    await db.query('update emails set unsent_token = gen_random_uuid()');
    await past.leased(db);
    await deliver();
    expect(await db.query('select failure from emails')).to.deep.equal([{ failure: 'outcome-unknown' }]);
    expect(smtp.messages).to.be.empty;
  });

  it('that was not handed over can be held and resent by hand', async () => {
    await claimDue(openScope(context), 10);
    await db.query(`update emails set due_at = now() - interval '1 second', created_at = now() - interval '2 days'`);
    const [email] = await db.query<{ id: string }>('select id from emails');
    const [resent] = await resendEmails(openScope(context), { ids: [email?.id ?? ''], again: false });
    expect(resent).to.include({ result: 'queued' });

    await claimDue(openScope(context), 10);
    await db.makeAllDue();
    const [message] = await db.query<{ receipt: string }>('select receipt from messages');
    await holdMessage(openScope(context), message?.receipt ?? '');
    expect(await rows()).to.deep.equal([{ state: 'held', failure: null, tries: 0 }]);
    expect(await outcomes()).to.deep.equal([]);
  });

  it('costs at most one more statement for each batch', async () => {
    await buildMessages(context, 60, (index) => ({ email: `visitor${index}@example.test` }));
    const statements = await recordStatements(context);
    await deliver();
    const count = (text: string) => statements.filter((it) => it.includes(text)).length;
    expect(smtp.messages).to.have.lengthOf(121);
    expect(count('set unsent_token = null')).to.be.within(
      1,
      count('insert into attempts (id, email_id, outcome, code'),
    );
  });
});
