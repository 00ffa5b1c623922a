import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import type { Outcome } from '../../src/mail/mailer.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { queueHeldSummaries } from '../../src/services/delivery/held-summary.ts';
import { cancelUnwanted } from '../../src/services/emails/cancel-unwanted.ts';
import { countWaiting } from '../../src/services/maintenance/purge-preview.ts';
import { runMaintenanceOnce } from '../../src/services/maintenance/run-maintenance.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
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

  it('waits for the summary during a pause, up to eight days', async () => {
    await using week = await openTestContext(db, { ...settings, RETENTION_DAYS: '7' });
    await held(8);
    await runHere(['emails', 'pause'], db);
    await summary(8);
    await runMaintenanceOnce(week);
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
    expect(health.stdout).to.include('1 expired message is still kept');

    await runHere(['emails', 'resume'], db);
    await settle();
    await db.query(`update duties set done_at = 'epoch' where name = 'purge'`);
    await runMaintenanceOnce(week);
    expect(await db.count('messages')).to.equal(0);
  });

  it('waits after a failed summary until it is sent or cancelled', async () => {
    const [first, second] = [await held(96), await held(94)];
    const firstSummary = await summary(95);
    await settle(mailOutcomes.refused);
    const secondSummary = await summary(93);
    await settle(mailOutcomes.refused);
    expect(await purge()).to.deep.equal([first, second]);
    expect(await countWaiting(openScope(context))).to.equal(2);

    // A summary that cancelled itself told nobody anything.
    const settleAs = `update emails set state = $2, failure = $3 where id = $1`;
    await db.query(settleAs, [firstSummary, 'cancelled', 'nothing-held']);
    expect(await countWaiting(openScope(context))).to.equal(2);
    await db.query(settleAs, [firstSummary, 'failed', 'refused']);
    // The next summary does not list the messages of the one before it.
    await runHere(['emails', 'resend', secondSummary], db);
    await settle();
    expect(await purge()).to.deep.equal([first]);
    await runHere(['emails', 'cancel', firstSummary], db);
    expect(await purge()).to.deep.equal([]);
  });

  it('does not count a summary sent to a former owner', async () => {
    const id = await held(95);
    await summary(94);
    await db.query(`update forms set recipients = '{new@site.test}' where slug = 'contact'`);
    await settle();
    expect(await purge()).to.deep.equal([id]);
    // The first summary that somebody gets lists everything that is held.
    await summary(1);
    await settle();
    expect(await purge()).to.deep.equal([]);
  });

  it('sends a new owner one summary about everything that is held', async () => {
    await held(95);
    await summary(94);
    await settle();
    await db.query(
      `insert into duties (name, done_at) values ('held-summary', now() - interval '94 days'), ('purge', now())`,
    );
    await runMaintenanceOnce(context);
    expect((await db.emails())['held-summary queued'], 'its owner was told').to.equal(undefined);

    await db.query(`update forms set recipients = '{new@site.test}' where slug = 'contact'`);
    await runMaintenanceOnce(context);
    const queued = await db.query(`select recipient from emails where state = 'queued'`);
    expect(queued).to.deep.equal([{ recipient: 'new@site.test' }]);
    await settle();
    await runMaintenanceOnce(context);
    expect((await db.emails())['held-summary queued'], 'once').to.equal(undefined);
    // The owner of that time had been told.
    expect(await purge()).to.deep.equal([]);
  });

  const toldCount = async () => (await db.query('select from messages where told_at is not null')).length;

  it('a sent summary covers messages beyond the 50 it lists', async () => {
    const id = await held(95);
    await db.query(
      `insert into messages select (m).* from (select jsonb_populate_record(messages, jsonb_build_object(
         'id', gen_random_uuid(), 'receipt', 'RW-' || lpad(n::text, 10, '0'))) as m
       from messages, generate_series(1, 60) as n where id = $1) as copies`,
      [id],
    );
    await summary(94);
    await settle(mailOutcomes.later);
    expect(await toldCount()).to.equal(0);
    await db.makeAllDue();
    await settle();
    expect(await toldCount()).to.equal(61);
  });

  it('release and hold clear told_at', async () => {
    const ids = [await held(95), await held(95)];
    await summary(94);
    await settle();
    expect(await toldCount()).to.equal(2);
    for (const id of ids) await runHere(['messages', 'release', id], db);
    expect(await toldCount()).to.equal(0);

    // Release 0.2.0 left the column when it released: holding clears it.
    await db.query(`update messages set told_at = now() - interval '1 day'`);
    await runHere(['messages', 'hold', ids[0] ?? ''], db);
    expect(await db.query('select id, told_at is null as clear from messages order by clear')).to.deep.equal([
      { id: ids[1], clear: false },
      { id: ids[0], clear: true },
    ]);
  });

  it('counts no summary that cancelled itself', async () => {
    const held95 = await held(95);
    const id = await summary(94);
    await runHere(['messages', 'release', held95], db);
    const { rows: emails } = await claimDue(openScope(context), 10);
    const cancelled = await cancelUnwanted(openScope(context), emails);
    expect([...cancelled]).to.deep.equal([[id, 'nothing-held']]);
    await past.held(db);
    const again = await runHere(['emails', 'cancel', id, '--json'], db);
    expect(again.stdout).to.include('already-cancelled');
    await runMaintenanceOnce(context);
    expect(await toldCount()).to.equal(0);
  });

  it('lists the same in the copies of a summary', async () => {
    await held(97);
    await summary(96);
    await settle();
    const id = await held(95);
    const first = await summary(94);
    await settle();
    const ids = [first];
    for (const _ of ['a copy', 'a copy of the copy']) {
      const resent = await runHere(['emails', 'resend', ids.at(-1) ?? '', '--again', '--json'], db);
      ids.push(JSON.parse(resent.stdout).items[0].newId);
      await settle();
    }
    const [{ receipt } = { receipt: '' }] = await db.query<{ receipt: string }>(
      'select receipt from messages where id = $1',
      [id],
    );
    for (const email of ids) {
      const { stdout } = await runHere(['emails', 'show', email, '--mail'], db, { settings });
      expect(stdout).to.include('1 held message at').and.include(receipt);
    }
    expect(await db.query('select from emails where resend_of_id is not null and covers_until is null')).to.be.empty;
  });

  it('copies the period of a summary to its resend', async () => {
    await held(95);
    const id = await summary(94);
    await settle();
    await runHere(['emails', 'resend', id, '--again'], db);
    const periods = await db.query(`select covers_after, covers_until from emails where kind = 'held-summary'`);
    expect(periods).to.have.lengthOf(2);
    expect(periods[1]).to.deep.equal(periods[0]);
  });

  it('deletes summaries, and what mail servers answered about them, after 90 days', async () => {
    await held(201);
    const ids = [await summary(200), await summary(200), await summary(200), await summary(89)];
    const [sent = '', cancelled = '', failed = '', recent = ''] = ids;
    await settle();
    await runHere(['emails', 'resend', sent, '--again'], db);
    const [copy] = await db.query<{ id: string }>('select id from emails where resend_of_id is not null');
    await db.query(`update emails set sent_at = now() - interval '91 days' where id = any($1)`, [ids]);
    await db.query(`update emails set state = 'cancelled', sent_at = null where id = $1`, [cancelled]);
    await db.query(`update emails set state = 'failed', failure = 'refused', sent_at = null where id = $1`, [failed]);
    await db.query(`update emails set sent_at = now() - interval '89 days' where id = $1`, [recent]);
    const left = async () => {
      await db.query(`update duties set done_at = 'epoch' where name = 'forget-expired'`);
      await runMaintenanceOnce(context);
      const rows = await db.query<{ id: string }>(`select id from emails where kind = 'held-summary' order by id`);
      return rows.map((it) => it.id).filter((it) => ids.includes(it) || it === copy?.id);
    };
    expect(await left(), 'a queued copy names the first').to.deep.equal([sent, failed, recent, copy?.id].toSorted());
    await settle();
    const old = `now() - interval '91 days'`;
    await db.query(`update emails set created_at = ${old}, sent_at = ${old} where id = $1`, [copy?.id]);
    await left();
    expect(await left()).to.deep.equal([failed, recent].toSorted());
    expect(await db.query('select from attempts where email_id = any($1)', [[sent, cancelled, copy?.id]])).to.be.empty;
  });

  it('deletes what its owner knew or an operator cancelled', async () => {
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
