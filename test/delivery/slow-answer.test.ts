import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { MailingContext } from '../../src/mailing-context.ts';
import { buildMessages, deliverTo } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

describe('a mail server that replies after the lease would expire', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let context: MailingContext;

  before(async () => {
    db = await createDatabase();
    smtp = await startSmtpServer();
    context = await openTestMailing(db, { MAIL_FROM: 'site@site.test', NOTIFY_TO: 'owner@site.test' });
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

  /** With a lease that is renewed all the time. */
  const deliver = () => deliverTo(smtp, context, { answerMs: 600_000 }, { renewAfterMs: 20 });
  const leased = async () => {
    const rows = await db.query(`select id from emails where due_at > now() + interval '80 seconds'`);
    return rows.length;
  };

  it('gets each mail once, because the leases are renewed', async () => {
    await buildMessages(context, 1);
    smtp.answer('dot', 'hold');
    const delivering = deliver();
    const held = [await smtp.heldAfterDot(), await smtp.heldAfterDot()];
    for (const _ of ['once', 'twice']) {
      await past.dueIn(db, '10 seconds');
      await until('both leases are renewed', async () => (await leased()) === 2);
    }
    for (const one of held) one.release();
    await delivering;

    expect(await db.emails()).to.deep.equal({ 'auto-reply sent': 1, 'notification sent': 1 });
    expect(smtp.attempts).to.have.lengthOf(2);
    expect(await db.query('select distinct outcome from attempts')).to.deep.equal([{ outcome: 'accepted' }]);
    expect(await db.query('select distinct tries from emails')).to.deep.equal([{ tries: 1 }]);
  });

  it('is given up when the lease is lost; the other worker decides', async () => {
    await buildMessages(context, 1);
    smtp.answer('dot', 'hold');
    const delivering = deliver();
    await smtp.heldAfterDot();
    await smtp.heldAfterDot();
    const other = randomUUID();
    await db.query(`update emails set lease_token = '${other}', due_at = now() + interval '10 seconds'`);
    await delivering;

    expect(await db.query('select distinct state, lease_token from emails')).to.deep.equal([
      { state: 'queued', lease_token: other },
    ]);
    expect(await leased()).to.equal(0);
    expect(await db.count('attempts')).to.equal(0);
  });
});
