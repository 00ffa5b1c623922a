import { expect } from 'chai';
import { type Answer, clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer, type Settings } from '../support/program.ts';
import { type Loss, TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

/** Every acknowledged message is stored, and never more than the limit, whatever ends while posts come. */
describe('a form with a limit', () => {
  let db: TestDatabase;
  let settings: Settings;

  beforeEach(async () => {
    db = await createDatabase();
    await db.liftHourlyLimits();
    settings = { DATABASE_URL: db.url, NOTIFY_TO: 'owner@site.test' };
    await db.query(`insert into forms (id, slug, message_limit) values (gen_random_uuid(), 'seats', 80)`);
  });
  afterEach(async () => {
    await db[Symbol.asyncDispose]();
  });

  const start = (changes: Settings = {}) => RunningServer.start({ ...settings, ...changes }, ['serve', '--no-deliver']);
  const post = (server: RunningServer, who: string): Promise<Answer> =>
    clientOf(server.url).post(
      '/api/forms/seats/messages',
      submission({ email: `${who}@example.test`, message: `A seat for ${who}` }),
      { 'Idempotency-Key': who },
    );
  /** A visitor who tries again while the database is away. */
  const postUntilAnswered = (server: RunningServer, who: string) =>
    until('the post is answered', async () => {
      const answer = await post(server, who);
      if (answer.status === 503) expect(answer.json.code).to.equal('database-away');
      return answer.status !== 503 && answer;
    });
  const receipts = async () =>
    (await db.query<{ receipt: string }>('select receipt from messages order by receipt')).map((it) => it.receipt);

  it('gives away exactly 80 seats to 64 clients at two servers', async () => {
    await using one = await start();
    await using two = await start();
    const answers: Answer[] = [];
    const ordinary: Answer[] = [];
    const clients = Array.from({ length: 64 }, async (_, client) => {
      for (let n = 0; n < 4; n++) answers.push(await post((client + n) % 2 ? one : two, `p${client}-${n}`));
    });
    const others = (async () => {
      for (let n = 0; n < 20; n++)
        ordinary.push(await clientOf(one.url).post('/api/messages', submission({ message: `${n}` })));
    })();
    await Promise.all([...clients, others]);
    const seated = answers.filter((it) => it.status === 201).map((it) => it.json.receipt as string);
    expect(seated).to.have.lengthOf(80);
    expect(answers.filter((it) => it.status === 410)).to.have.lengthOf(64 * 4 - 80);
    expect(
      ordinary.map((it) => it.status),
      'other forms go on',
    ).to.deep.equal(Array(20).fill(201));
    const rows = await db.query<{ receipt: string }>(
      `select receipt from messages join forms on forms.id = form_id where slug = 'seats' order by 1`,
    );
    expect(rows.map((it) => it.receipt)).to.deep.equal(seated.toSorted());
  });

  it('keeps all that it acknowledged, and its limit, when servers are killed', async () => {
    const acknowledged = new Map<string, string>();
    const waiting = new Set(Array.from({ length: 120 }, (_, n) => `p${n}`));
    let lost = 0;
    for (let round = 0; waiting.size > 0; round++) {
      await using server = await start();
      // Later and later, so that some rounds end in the middle of posts, and the last one in none.
      const killAfter = round < 8 ? 3 + 2 * round : Number.POSITIVE_INFINITY;
      let answered = 0;
      const posts = [...waiting].map(async (who) => {
        const answer = await post(server, who).catch(() => undefined);
        if (answer === undefined) lost++;
        else expect(answer.status).to.be.oneOf([201, 410, 503]);
        if (answer?.status === 201) acknowledged.set(who, answer.json.receipt);
        if (answer?.status === 201 || answer?.status === 410) waiting.delete(who);
        if (++answered === killAfter) process.kill(server.pid, 'SIGKILL');
      });
      await Promise.all(posts);
      await server.stop('SIGKILL');
    }
    expect(lost).to.be.greaterThan(0);
    expect(acknowledged.size).to.equal(80);
    expect(await receipts()).to.deep.equal([...acknowledged.values()].toSorted());
  });

  for (const how of ['cut', 'drop'] as Loss[]) {
    it(`gives the last seat away once, whichever answer of the database is lost (${how})`, async () => {
      await db.query(`update forms set message_limit = 1 where slug = 'seats'`);
      await using proxy = await TcpProxy.before(db.url);
      await using server = await start({ DATABASE_URL: proxy.urlOf(db.url) });
      await db.maintenanceDone();
      let lost = 0;
      for (let nth = 1; nth <= 8; nth++) {
        await db.query('delete from emails');
        await db.query('delete from messages');
        proxy.loseAnswer(nth, how);
        const first = await postUntilAnswered(server, `p${nth}`);
        const { receipt } = first.json;
        expect([first.status, (await postUntilAnswered(server, 'late')).status]).to.deep.equal([201, 410]);
        expect((await postUntilAnswered(server, `p${nth}`)).json.receipt).to.equal(receipt);
        if (proxy.hasLostAnswer) lost++;
        expect(await receipts()).to.deep.equal([receipt]);
      }
      // Beginning, the lock, the count, the statement and the commit.
      expect(lost).to.be.above(4);
    });
  }
});
