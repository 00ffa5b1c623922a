import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { randomFrom } from '../support/random.ts';
import { until } from '../support/until.ts';

/**
 * Every post answered 201 is stored once, with its emails, however the server ends. The moment of each kill is
 * random; the seed is printed so that a failure can be repeated with `CHAOS_SEED`.
 */
describe('killing the server with 200 posts in flight, ten times', () => {
  const seed = Number(process.env.CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 31));
  let db: TestDatabase;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let settings: Settings;

  before(async () => {
    console.log(`    CHAOS_SEED=${seed}`);
    db = await createDatabase();
    await db.liftHourlyLimits();
    folder = await temporaryFolder();
    settings = { DATABASE_URL: db.url, DATA_DIR: folder.path, NOTIFY_TO: 'a@site.test,b@site.test' };
  });
  after(async () => {
    await folder[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  it('stores every post that was answered 201 once, with its emails', async () => {
    const random = randomFrom(seed);
    const acknowledged = new Map<string, string>();
    let lost = 0;
    for (let round = 0; round < 10; round++) {
      await using server = await RunningServer.start(settings);
      const http = clientOf(server.url);
      const killAfter = Math.floor(random() * 180);
      let answered = 0;
      const posts = Array.from({ length: 200 }, async (_, i) => {
        const email = `p${round}-${i % 150}@example.test`;
        const answer = await http
          .post('/api/messages', submission({ email, message: `${round} ${i}` }))
          .catch(() => undefined);
        if (answer?.status === 201) acknowledged.set(answer.json.id, answer.json.receipt);
        else lost++;
        if (++answered === killAfter) process.kill(server.pid, 'SIGKILL');
      });
      await Promise.all(posts);
      await server.stop('SIGKILL');
    }
    expect(lost, 'the kills came while posts were in flight').to.be.greaterThan(0);
    expect(acknowledged.size).to.be.greaterThan(0);
    console.log(`    ${acknowledged.size} acknowledged, ${lost} without an answer`);

    // PostgreSQL finishes a running statement before it notices that the client is gone.
    await until('the last statements of the killed servers are over', async () => {
      const others = await db.query(
        `select 1 from pg_stat_activity where datname = $1 and application_name like 'ruffinweb%'`,
        [db.name],
      );
      return others.length === 0;
    });
    const rows = await db.query<{ id: string; receipt: string; notifications: number }>(
      `select m.id, m.receipt, count(e.id) filter (where e.kind = 'notification')::int as notifications
       from messages m left join emails e on e.message_id = m.id group by m.id`,
    );
    const stored = new Map(rows.map((row) => [row.id, row]));
    for (const [id, receipt] of acknowledged) expect(stored.get(id)?.receipt, 'an acknowledged post').to.equal(receipt);
    for (const row of rows) expect(row.notifications, 'each message with all its emails').to.equal(2);
    expect(rows.length, 'nothing but what was posted').to.be.at.most(2000);
    const [counted] = await db.query<{ sum: number }>('select sum(message_count)::int as sum from senders');
    expect(counted?.sum, 'the senders know all their messages').to.equal(rows.length);
    const [replies] = await db.query<{ most: number }>(
      `select max(n)::int as most from (select count(*) as n from emails where kind = 'auto-reply' group by sender_id) as by_sender`,
    );
    expect(replies?.most, 'auto-replies to one address').to.equal(1);
  });

  it('every email is then sent, or failed with its reason', async () => {
    await db.makeAllDue();
    const done = await ruffinweb(['deliver', '--once'], settings);
    expect(done.code).to.equal(0);
    const open = await db.query(
      `select state, failure, kind from emails where state <> 'sent' and not (state = 'failed' and failure = 'outcome-unknown' and kind = 'auto-reply')`,
    );
    expect(open).to.deep.equal([]);
  });
});
