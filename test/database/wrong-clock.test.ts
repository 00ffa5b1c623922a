import { expect } from 'chai';
import type { MailingContext } from '../../src/mailing-context.ts';
import { pauseQueue } from '../../src/services/delivery/pause/pause.ts';
import { probeMail } from '../../src/services/delivery/pause/probe-mail-server.ts';
import { readMailCounts } from '../../src/services/health/mail-counts.ts';
import { runMaintenanceOnce } from '../../src/services/maintenance/run-maintenance.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { RunningServer } from '../support/program.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

/** Times that the database wrote before the correction are a year ahead. */
describe("after a database's clock was a year ahead", () => {
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

  it('alerts are told again', async () => {
    await db.query(`insert into alerts (condition, since, told_at)
      values ('paused', now() + interval '1 year', now() + interval '1 year'), ('held', now(), now())`);
    await runMaintenanceOnce(context);
    expect(await db.query('select condition from alerts where since is null and told_at is null')).to.deep.equal([
      { condition: 'paused' },
    ]);
  });

  it('queued mail becomes due after a lease', async () => {
    await buildMessages(context, 3);
    await settleDue(context, () => mailOutcomes.later);
    const emails = await db.query<{ id: string }>('select id from emails order by id');
    const [retried, cancelled, leased] = emails.map(({ id }) => id);
    await db.query(`update emails set due_at = due_at + interval '1 year'`);
    // Retries are at most 28.8 hours apart.
    await past.dueIn(db, '29 hours', retried);
    await past.cancelled(db, cancelled);
    await past.leased(db, leased);
    await runMaintenanceOnce(context);
    const waits = await db.query<{ id: string; seconds: number }>(
      'select id, extract(epoch from due_at - now())::float8 as seconds from emails',
    );
    const secondsOf = new Map(waits.map((it) => [it.id, it.seconds]));
    const reset = emails.map(({ id }) => id).filter((id) => id !== retried && id !== cancelled);
    expect(reset).to.have.lengthOf(4).and.include(leased);
    for (const id of reset) expect(secondsOf.get(id)).to.be.within(0, 90);
    expect((secondsOf.get(retried ?? '') ?? 0) / 3600).to.be.within(28, 29);
    expect((secondsOf.get(cancelled ?? '') ?? 0) / 86_400).to.be.greaterThan(364);
  });

  it('deliveries to hooks become due after a lease, and hooks are no longer quiet', async () => {
    await db.query(
      `with added as (insert into hooks (id, name, kind, state, url, events, quiet_until, created_at)
         select gen_random_uuid(), name, 'webhook', 'active', 'x', '{}', now() + quiet, now()
         from (values ('year', interval '1 year'), ('day', interval '24 hours')) as given (name, quiet) returning id, name)
       insert into hook_deliveries (id, hook_id, event, state, due_at, created_at)
       select gen_random_uuid(), added.id, name, 'queued', now() + delay, now()
       from added cross join (values (interval '1 year'), (interval '29 hours')) as given (delay) where name = 'year'`,
    );
    await runMaintenanceOnce(context);
    const dues =
      'select round(extract(epoch from due_at - now()) / 3600)::int as hours from hook_deliveries order by 1';
    expect(await db.query(dues)).to.deep.equal([{ hours: 0 }, { hours: 29 }]);
    expect(await db.query('select name from hooks where quiet_until is not null')).to.deep.equal([{ name: 'day' }]);
  });

  it('periodic tasks run again', async () => {
    const [old] = await buildMessages(context, 1);
    await settleDue(context, () => mailOutcomes.accepted);
    await db.age(old?.id ?? '', 8);
    await buildMessages(context, 1, () => ({ _gotcha: 'x' }));
    await db.query(
      `insert into duties (name, done_at) select name, now() + interval '1 year'
       from unnest(array['forget-expired', 'held-summary', 'purge', 'a-later-release']) as name`,
    );
    await db.query(`insert into duties (name, done_at) values ('a-slow-clock', now() + interval '59 minutes')`);
    await runMaintenanceOnce(context);
    expect(await db.emails()).to.include({ 'held-summary queued': 1 });
    expect(await db.count('messages')).to.equal(1);
    expect(
      await db.query(`select name from duties where done_at > now() or done_at = 'epoch' order by 1`),
    ).to.deep.equal([{ name: 'a-later-release' }, { name: 'a-slow-clock' }]);
  });

  it('posts and replies are no longer remembered', async () => {
    await buildMessages(context, 4);
    await settleDue(context, () => mailOutcomes.accepted);
    const counts = async () =>
      await db.query(
        'select (select count(*)::int from recent_posts) as posts, (select count(*)::int from reply_days) as replies',
      );
    expect(await counts()).to.deep.equal([{ posts: 4, replies: 4 }]);
    for (const [table, column] of [
      ['recent_posts', 'stored_at'],
      ['reply_days', 'replied_at'],
    ]) {
      await db.query(`
        with numbered as (select ctid, row_number() over () as n from ${table})
        update ${table} set ${column} = now() + (array['0 minutes', '59 minutes', '61 minutes', '1 year'])[n]::interval
        from numbered where ${table}.ctid = numbered.ctid`);
    }
    await runMaintenanceOnce(context);
    expect(await counts()).to.deep.equal([{ posts: 2, replies: 2 }]);
  });

  it('is repaired even if all periodic tasks run elsewhere', async () => {
    await buildMessages(context, 1);
    await past.dueIn(db, '1 year');
    await db.query(
      `insert into duties (name, done_at) select name, 'epoch' from unnest(array['forget-expired', 'held-summary', 'purge']) as name`,
    );
    const elsewhere = await db.lockRows('duties');
    await runMaintenanceOnce(context).finally(() => elsewhere.release());
    expect(await db.query(`select from emails where due_at > now() + interval '1 day'`)).to.have.lengthOf(0);
    expect(await db.query(`select from duties where done_at <> 'epoch'`)).to.have.lengthOf(0);
  });

  it('attempts are counted', async () => {
    const scope = openScope(context);
    const inAYear = new Date(Date.now() + 365 * 24 * 60 * 60_000);
    const { until: corrected } = await readMailCounts(scope, inAYear);
    await buildMessages(context, 1);
    await settleDue(context, () => mailOutcomes.accepted);
    // The last seconds are left for the next time.
    await db.query('update attempts set finished_at = $1', [new Date(corrected.getTime() + 1)]);
    expect((await readMailCounts(scope, corrected)).tries).to.have.lengthOf(2);
  });

  it('a pause ends automatically', async () => {
    await pauseQueue(openScope(context), 'broken', '550 5.7.1 not you');
    await db.query(
      `update mail_queue set paused_at = now() + interval '1 year', probed_at = now() + interval '1 year'`,
    );
    await runMaintenanceOnce(context);
    const reset = await db.query('select paused_at <= now() as paused, probed_at <= now() as probed from mail_queue');
    expect(reset).to.deep.equal([{ paused: true, probed: true }]);
    await db.makeProbeDue();
    expect(await probeMail(context, new AbortController().signal)).to.equal(true);
    expect(await db.query('select paused_at, probed_at from mail_queue')).to.deep.equal([
      { paused_at: null, probed_at: null },
    ]);
  });

  it('a queue that is not paused stays unpaused', async () => {
    await runMaintenanceOnce(context);
    expect(await db.query('select paused_at, probed_at from mail_queue')).to.deep.equal([
      { paused_at: null, probed_at: null },
    ]);
  });

  it('a starting server repairs it', async () => {
    await db.query(`insert into duties (name, done_at) values ('purge', now() + interval '1 year')`);
    await using _server = await RunningServer.start({ DATABASE_URL: db.url });
    await until('the task ran', async () => {
      const [row] = await db.query<{ ran: boolean }>(
        `select done_at between now() - interval '1 hour' and now() as ran from duties where name = 'purge'`,
      );
      return row?.ran;
    });
  });
});
