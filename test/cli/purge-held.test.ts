import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import type { Outcome } from '../../src/mail/mailer.ts';
import { queueHeldSummaries } from '../../src/services/delivery/held-summary.ts';
import { countWaiting } from '../../src/services/maintenance/purge-preview.ts';
import { keepHouseOnce } from '../../src/services/maintenance/run-maintenance.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { runHere } from './terminal.ts';

const dayMs = 24 * 60 * 60 * 1000;

describe('purge of held messages', () => {
  const settings = { NOTIFY_TO: 'owner@site.test' };
  let db: TestDatabase;
  let context: Context;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db, settings);
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
    await db.query(`truncate recent_posts, message_keys; update forms set recipients = null`);
  });

  /** A held message of so many days ago. */
  const held = async (days: number) => {
    const [message] = await buildMessages(context, 1, () => ({ _gotcha: 'x', message: `Held ${days}` }));
    return await db.age(message?.id ?? '', days);
  };
  /** The summary of a day, queued. */
  const summary = async (daysAgo: number): Promise<string> => {
    await queueHeldSummaries(openScope(context), new Date(0), new Date(Date.now() - daysAgo * dayMs));
    const [row] = await db.query<{ id: string }>(
      `select id from emails where kind = 'held-summary' order by id desc limit 1`,
    );
    return row?.id ?? '';
  };
  const settle = async (outcome: Outcome = mailOutcomes.accepted) => await settleDue(context, () => outcome);
  const purge = async (keepDays = '0') => {
    const { code } = await runHere(['purge'], db, { settings: { ...settings, RETENTION_DAYS: keepDays } });
    expect(code).to.equal(0);
    return (await db.query<{ id: string }>('select id from messages order by id')).map((it) => it.id);
  };

  it('waits for the summary that lists them while the queue is paused, eight days where seven are kept', async () => {
    await using week = await openTestContext(db, { ...settings, RETENTION_DAYS: '7' });
    await held(8);
    await runHere(['emails', 'pause'], db);
    await summary(8);
    await keepHouseOnce(week);
    expect(await db.count('messages')).to.equal(1);

    const dry = await runHere(['purge', '--dry-run', '--json'], db, { settings: { ...settings, RETENTION_DAYS: '7' } });
    expect(JSON.parse(dry.stdout).items).to.deep.include({
      rule: 'held',
      form: 'contact',
      days: 7,
      due: 0,
      waiting: 1,
      nextAt: null,
      removed: 0,
    });
    const health = await runHere(['health', '--json'], db, { settings: { ...settings, RETENTION_DAYS: '7' } });
    expect(health.stdout).to.include('1 past their time waits');

    await runHere(['emails', 'resume'], db);
    await settle();
    await db.query(`update duties set done_at = 'epoch' where name = 'purge'`);
    await keepHouseOnce(week);
    expect(await db.count('messages')).to.equal(0);
  });

  it('waits while the summary failed, until it is sent again or cancelled by hand', async () => {
    const [first, second] = [await held(96), await held(94)];
    const firstSummary = await summary(95);
    await settle(mailOutcomes.refused);
    const secondSummary = await summary(93);
    await settle(mailOutcomes.refused);
    expect(await purge()).to.deep.equal([first, second]);
    expect(await countWaiting(openScope(context))).to.equal(2);

    // One that cancelled itself told nobody of anything.
    const settleAs = `update emails set state = $2, failure = $3 where id = $1`;
    await db.query(settleAs, [firstSummary, 'cancelled', 'nothing-held']);
    expect(await countWaiting(openScope(context))).to.equal(2);
    await db.query(settleAs, [firstSummary, 'failed', 'refused']);
    // The next summary does not list what stood in the one before it.
    await runHere(['emails', 'resend', secondSummary], db);
    await settle();
    expect(await purge()).to.deep.equal([first]);
    await runHere(['emails', 'cancel', firstSummary], db);
    expect(await purge()).to.deep.equal([]);
  });

  it('tells nobody where the summary went to somebody who is no owner any more', async () => {
    const id = await held(95);
    await summary(94);
    await settle();
    await db.query(`update forms set recipients = '{new@site.test}' where slug = 'contact'`);
    expect(await purge()).to.deep.equal([id]);
    // The first summary that somebody gets lists everything that is held.
    await summary(1);
    await settle();
    expect(await purge()).to.deep.equal([]);
  });

  it('waits no longer than until a new owner is told, also where nothing more is held', async () => {
    const id = await held(95);
    await summary(94);
    await settle();
    await db.query(
      `insert into duties (name, done_at) values ('held-summary', now() - interval '94 days'), ('purge', now())`,
    );
    await keepHouseOnce(context);
    expect((await db.emails())['held-summary queued'], 'its owner was told').to.equal(undefined);

    await db.query(`update forms set recipients = '{new@site.test}' where slug = 'contact'`);
    expect(await purge()).to.deep.equal([id]);
    await keepHouseOnce(context);
    const queued = await db.query(`select recipient from emails where state = 'queued'`);
    expect(queued).to.deep.equal([{ recipient: 'new@site.test' }]);
    await settle();
    await keepHouseOnce(context);
    expect((await db.emails())['held-summary queued'], 'once').to.equal(undefined);
    expect(await purge()).to.deep.equal([]);
  });

  it('lets go what its owner was told of before it was held, and what an operator gave up', async () => {
    const [told] = await buildMessages(context, 1);
    await settle();
    await runHere(['messages', 'hold', told?.receipt ?? ''], db);
    await db.age(told?.id ?? '', 200);
    const givenUp = await held(95);
    await db.query(`update messages set held_at = held_at - interval '91 days' where held_at is not null`);
    expect(await purge()).to.deep.equal([givenUp]);
    const [notification] = await db.query<{ id: string }>(`select id from emails where state = 'held'`);
    await runHere(['emails', 'cancel', notification?.id ?? ''], db);
    expect(await purge()).to.deep.equal([]);
  });
});
