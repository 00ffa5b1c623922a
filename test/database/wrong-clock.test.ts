import { expect } from 'chai';
import type { MailingContext } from '../../src/mailing-context.ts';
import { pauseQueue } from '../../src/services/delivery/pause.ts';
import { probeMail } from '../../src/services/delivery/probe-mail-server.ts';
import { openSentCount, readNumbers } from '../../src/services/health/mail-counts.ts';
import { keepHouseOnce } from '../../src/services/maintenance/run-maintenance.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';

/** What was written then is dated a year ahead. */
describe("a database's clock that was a year ahead, and was put right", () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let context: MailingContext;

  before(async () => {
    db = await createDatabase();
    smtp = await startSmtpServer();
    context = await openTestMailing(db, {
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'site@site.test',
      NOTIFY_TO: 'owner@site.test',
      RETENTION_DAYS: '7',
    });
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await smtp[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
    await db.query('truncate recent_posts, message_keys');
  });

  it('keeps no mail for a year that waits for its next try', async () => {
    await buildMessages(context, 2);
    await settleDue(context, () => mailOutcomes.later);
    const [{ id } = { id: '' }] = await db.query<{ id: string }>('select id from emails order by id limit 1');
    await db.query(`update emails set due_at = due_at + interval '1 year' where id <> $1`, [id]);
    await db.query(`update emails set due_at = now() + interval '28 hours' where id = $1`, [id]);
    await keepHouseOnce(context);
    const waits = await db.query<{ own: boolean; minutes: number }>(
      `select id = $1 as own, ceil(extract(epoch from due_at - now()) / 60)::int as minutes from emails order by 1`,
      [id],
    );
    expect(waits).to.deep.equal([...Array(3).fill({ own: false, minutes: 2 }), { own: true, minutes: 28 * 60 }]);
  });

  it('keeps no house undone for a year', async () => {
    const [old] = await buildMessages(context, 1);
    await settleDue(context, () => mailOutcomes.accepted);
    await db.age(old?.id ?? '', 8);
    await buildMessages(context, 1, () => ({ _gotcha: 'x' }));
    await db.query(
      `insert into duties (name, done_at) select name, now() + interval '1 year'
       from unnest(array['forget-expired', 'held-summary', 'purge']) as name`,
    );
    await db.query(`update reply_days set replied_at = replied_at + interval '1 year'`);
    await db.query(`update recent_posts set stored_at = stored_at + interval '1 year'`);
    await keepHouseOnce(context);
    expect(await db.emails()).to.include({ 'held-summary queued': 1 });
    expect(await db.count('messages')).to.equal(1);
    expect(await db.query('select from reply_days union all select from recent_posts')).to.have.lengthOf(0);
    expect(await db.query('select from duties where done_at > now()')).to.have.lengthOf(0);
  });

  it('does not keep tries from being counted', async () => {
    const scope = openScope(context);
    const inAYear = new Date(Date.now() + 365 * 24 * 60 * 60_000);
    const { until } = await readNumbers(scope, inAYear, openSentCount());
    await buildMessages(context, 1);
    await settleDue(context, () => mailOutcomes.accepted);
    // The last seconds are left for the next time.
    await db.query('update attempts set finished_at = $1', [new Date(until.getTime() + 1)]);
    expect((await readNumbers(scope, until, openSentCount())).tries).to.have.lengthOf(2);
  });

  it('does not keep a pause from ending by itself', async () => {
    await pauseQueue(openScope(context), 'broken', '550 5.7.1 not you');
    await db.query(
      `update mail_queue set paused_at = now() + interval '1 year', probed_at = now() + interval '1 year'`,
    );
    expect(await probeMail(context, new AbortController().signal)).to.equal(true);
    expect(await db.query('select paused_at, probed_at from mail_queue')).to.deep.equal([
      { paused_at: null, probed_at: null },
    ]);
  });
});
