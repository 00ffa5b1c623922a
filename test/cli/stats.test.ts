import { expect } from 'chai';
import { textWidth } from '../../src/cli/terminal/text-width.ts';
import type { Stats } from '../../src/services/health/stats.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { buildDelivery } from '../support/build-delivery.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { ruffinweb } from '../support/program.ts';
import { runHere, withoutColours } from './terminal.ts';

describe('stats', () => {
  let db: TestDatabase;

  before(async () => {
    db = await createDatabase();
    await using context = await openTestContext(db);
    await db.query(`insert into forms (id, slug) values (gen_random_uuid(), 'shop')`);
    await buildMessages(context, 10, (index) => (index < 2 ? { _gotcha: 'x' } : {}));
    await settleDue(context, (email) => (email.kind === 'notification' ? mailOutcomes.accepted : mailOutcomes.refused));
    // Eight were sent, after one second, two, three, and so on; one of them is from the day before yesterday.
    await db.query(
      `update emails set sent_at = created_at + n * interval '1 second'
       from (select id, row_number() over (order by id) as n from emails where state = 'sent') as sent where sent.id = emails.id`,
    );
    const [post] = await db.query<{ id: string }>('select id from messages limit 1');
    for (const state of ['sent', 'queued'] as const) await buildDelivery(db, context, { state, messageId: post?.id });
    const [first] = await db.query<{ id: string }>(
      `select message_id as id from emails where state = 'sent' order by id limit 1`,
    );
    await past.aged(db, '2 days', first?.id);
    await db.query(
      `update emails set created_at = created_at - interval '2 days', sent_at = sent_at - interval '2 days' where message_id = $1`,
      [first?.id],
    );
  });
  after(async () => {
    await db[Symbol.asyncDispose]();
  });

  const stats = async (...args: string[]): Promise<Stats> =>
    JSON.parse((await runHere(['stats', ...args, '--json'], db)).stdout);

  it('count messages per day, held ones, and delivery times', async () => {
    const { code, stdout, stderr } = await ruffinweb(['stats', '--days', '4', '--json'], { DATABASE_URL: db.url });
    expect({ code, stderr }).to.deep.equal({ code: 0, stderr: '' });
    const found: Stats = JSON.parse(stdout);
    const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10);
    const none = { emails: 0, p50Ms: null, p95Ms: null, p99Ms: null };
    expect(found).to.deep.equal({
      since: `${day(3)}T00:00:00.000Z`,
      form: null,
      messages: 10,
      held: 2,
      heldShare: 0.2,
      delivery: { emails: 8, p50Ms: 4000, p95Ms: 8000, p99Ms: 8000 },
      hookDeliveries: 1,
      days: [
        { day: day(0), messages: 9, held: 2, delivery: { emails: 7, p50Ms: 5000, p95Ms: 8000, p99Ms: 8000 } },
        { day: day(1), messages: 0, held: 0, delivery: none },
        { day: day(2), messages: 1, held: 0, delivery: { emails: 1, p50Ms: 1000, p95Ms: 1000, p99Ms: 1000 } },
        { day: day(3), messages: 0, held: 0, delivery: none },
      ],
    });
  });

  it('can be limited to a form and to days', async () => {
    const none = { form: 'shop', messages: 0, heldShare: null, hookDeliveries: 0 };
    expect(await stats('--form', 'shop')).to.deep.include(none);
    expect((await stats('--days', '1')).messages).to.equal(9);
    expect((await stats('--form', 'contact')).messages).to.equal(10);
    const runs = await Promise.all([
      runHere(['stats', '--form', 'nothing'], db),
      runHere(['stats', '--days', '0'], db),
      runHere(['stats', '--days', '367'], db),
    ]);
    expect(runs.map((it) => it.code)).to.deep.equal([1, 2, 2]);
    const empty = await runHere(['stats', '--form', 'shop'], db);
    expect(empty).to.include({ code: 0, stdout: '' });
    expect(empty.stderr).to.include('No message in the last 14 days');
  });

  it('have the days of the time zone in the table, and of UTC in JSON', async () => {
    process.env.TZ = 'Pacific/Kiritimati';
    try {
      const day = (hours: number) => new Date(Date.now() + hours * 3_600_000).toISOString().slice(0, 10);
      const daysOf = async (...args: string[]) =>
        (await runHere(['stats', '--days', '1', ...args], db)).stdout.match(/\d{4}-\d\d-\d\d/g);
      expect(await daysOf()).to.deep.equal([day(14)]);
      expect(await daysOf('--utc')).to.deep.equal([day(0)]);
      expect((await stats('--days', '1')).days[0]?.day).to.equal(day(0));
    } finally {
      process.env.TZ = 'UTC';
    }
  });

  it('are a table with bars that fits into any terminal', async () => {
    for (const columns of [60, 80, 140]) {
      const screen = withoutColours((await runHere(['stats', '--days', '3'], db, { columns })).stdout);
      for (const line of screen.split('\n')) expect(textWidth(line), line).to.be.at.most(columns);
      expect(screen).to.include(
        '10 messages, 2 held (20 %)\n8 emails delivered: half within 4.0 s, 95 % within 8.0 s\n1 delivered to hooks\n',
      );
      expect(screen).to.match(/ 9 {2}█+ +2 +5\.0 s +8\.0 s +8\.0 s\n/);
      expect(screen, 'a bar for one message').to.match(/ 1 {2}█+ +1\.0 s +1\.0 s +1\.0 s\n/);
      expect(screen).to.match(/ 0\n/);
    }
  });

  it('do not count the wait of a held message, but that of a failed email', async () => {
    const sent = await db.query<{ id: string }>(
      `select id from emails where state = 'sent' and created_at > now() - interval '1 day' order by id limit 2`,
    );
    const [released, resent] = sent.map((it) => it.id);
    // Both were queued again two hours after they were created, and sent a minute later; only one was tried before.
    await db.query(
      `update emails set created_at = sent_at - interval '2 hours', requeued_at = sent_at - interval '1 minute' where id = any($1)`,
      [[released, resent]],
    );
    await db.query(`update attempts set finished_at = now() + interval '1 day' where email_id = $1`, [released]);
    await db.query(`update attempts set finished_at = now() - interval '1 day' where email_id = $1`, [resent]);
    const { delivery } = await stats('--days', '2');
    expect(delivery).to.include({ emails: 7, p99Ms: 7_200_000 });
    await db.query(`update emails set state = 'cancelled' where id = $1`, [resent]);
    expect((await stats('--days', '2')).delivery).to.include({ emails: 6, p99Ms: 60_000 });
  });
});
