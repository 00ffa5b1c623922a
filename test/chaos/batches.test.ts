import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { openStoreBatches } from '../../src/services/intake/store-batches.ts';
import { storeMessages } from '../../src/services/intake/store-messages.ts';
import type { Verdict } from '../../src/services/intake/verdict.ts';
import { openScope } from '../../src/services/scope.ts';
import { type Answer, type Client, clientOf, submission } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer } from '../support/program.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

describe('posts stored in one batch', () => {
  let db: TestDatabase;
  let proxy: TcpProxy;
  let server: RunningServer;
  let http: Client;
  let context: Context;

  before(async () => {
    db = await createDatabase();
    proxy = await TcpProxy.before(db.url);
    server = await RunningServer.start({ DATABASE_URL: proxy.urlOf(db.url) }, ['serve', '--no-deliver']);
    http = clientOf(server.url);
    context = await openTestContext(db);
  });
  after(async () => {
    await server[Symbol.asyncDispose]();
    await context[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    proxy.mode = 'pass';
    await db.empty();
    expect((await post('warm')).status).to.equal(201);
  });

  const post = (who: string, to = http): Promise<Answer> =>
    to.post('/api/messages', submission({ email: `${who}@example.test`, message: `Hello from ${who}` }));

  const postMany = (count: number, who = 'p') =>
    Promise.all(Array.from({ length: count }, (_, n) => post(`${who}${n}`)));

  it('are counted correctly and never deadlock, in any order', async () => {
    // A database of its own has no periodic tasks running, which would block truncating the tables.
    await using quiet = await createDatabase();
    await using context = await openTestContext(quiet);
    await quiet.query(`insert into forms (id, slug) values (gen_random_uuid(), 'other') on conflict do nothing`);
    const forms = await quiet.query<{ id: string; version: string }>('select id, xmin::text as version from forms');
    const draw = (below: number) => Math.floor(Math.random() * below);
    let n = 0;
    const verdict = (): Verdict => {
      const form = forms[draw(2)] as (typeof forms)[0];
      return {
        formId: form.id,
        formVersion: form.version,
        content: { address: `same${draw(30)}@example.test`, text: `text ${++n}`, extra: [] },
        clientAddress: `198.51.${draw(5)}.1`,
        status: 'accepted',
        reasons: [],
        notify: draw(2) ? ['owner@site.test', 'a@site.test'] : ['a@site.test', 'owner@site.test'],
        idempotencyKey: draw(2) ? `key-${draw(1000)}-${n % 7}` : undefined,
        captchaUse: draw(2) ? { id: `captcha-${draw(5000)}`, expiresAt: new Date(Date.now() + 60_000) } : undefined,
        otherAddresses: [],
        notifyLimit: 50,
        noReply: undefined,
      };
    };
    const stored = await Promise.all(
      Array.from({ length: 8 }, async () => {
        let count = 0;
        for (let flush = 0; flush < 40; flush++) {
          const results = await storeMessages(openScope(context), Array.from({ length: 25 }, verdict));
          count += results.filter((it) => 'stored' in it && !it.repeated).length;
        }
        return count;
      }),
    );
    const [seen] = await quiet.query<{ deadlocks: number; messages: number; counted: number }>(
      `select (select deadlocks::int from pg_stat_database where datname = current_database()) as deadlocks,
         (select count(*)::int from messages) as messages,
         (select sum(message_count)::int from senders) as counted`,
    );
    expect(seen?.deadlocks).to.equal(0);
    expect(seen?.messages).to.equal(stored.reduce((a, b) => a + b, 0));
    expect(seen?.counted).to.equal(seen?.messages);
  });

  it('are stored even if one of them cannot be stored', async () => {
    const lock = await db.lockKey(context.keyring.addressIndex('p7@example.test').readBigInt64BE(0));
    const answers = await postMany(40).finally(() => lock.release());
    expect(answers.map((it) => it.status)).to.deep.equal(Array.from({ length: 40 }, (_, n) => (n === 7 ? 503 : 201)));
    expect(answers[7]?.headers.get('retry-after')).to.equal('5');
    expect(await db.count('messages')).to.equal(40);
  });

  it('are answered in five seconds if the database hangs', async () => {
    const before = await postMany(50, 'before');
    const underWay = proxy.reached('store_messages');
    const posting = postMany(250);
    await underWay;
    proxy.mode = 'swallow';
    const startedAt = performance.now();
    const answers = [...before, ...(await posting)];
    // The contract's own promise to visitors, and not a measure of speed.
    expect(performance.now() - startedAt).to.be.below(5000);
    const stored = new Set((await db.query<{ id: string }>('select id from messages')).map((it) => it.id));
    for (const { status, json } of answers) {
      if (status === 201) expect(stored.has(json.id)).to.equal(true);
      else expect(json.code).to.equal('database-away');
    }
    expect(answers.some((it) => it.status === 503)).to.equal(true);
    proxy.mode = 'pass';
    await until('posts are taken again', async () => (await post('again')).status === 201);
  });

  it('do not pile up: thousands are all refused in time', async () => {
    const lock = await db.lockTable('senders');
    const answers = await postMany(2500).finally(() => lock.release());
    expect(new Set(answers.map((it) => it.status))).to.deep.equal(new Set([503]));
    expect(server.log).to.include('the database takes too long');
    await until('posts are taken again', async () => (await post('again')).status === 201);
  });

  it('do not pile up: a full queue refuses at once', async () => {
    const [form] = await db.query<{ id: string; version: string }>('select id, xmin::text as version from forms');
    const verdict = (n: number): Verdict => ({
      formId: form?.id ?? '',
      formVersion: form?.version ?? '',
      content: { address: `p${n}@example.test`, text: `text ${n}`, extra: [] },
      clientAddress: undefined,
      status: 'accepted',
      reasons: [],
      notify: ['owner@site.test'],
      idempotencyKey: undefined,
      captchaUse: undefined,
      otherAddresses: [],
      notifyLimit: 0,
      noReply: undefined,
    });
    await using batches = openStoreBatches(context, { maxInFlight: 1, maxPosts: 100, maxWaiting: 20 });
    const refused: string[] = [];
    const lock = await db.lockTable('senders');
    const storing = Array.from({ length: 50 }, (_, n) =>
      batches.store(verdict(n)).catch((error: Error) => refused.push(error.message)),
    );
    await db.waitingForLocks(1);
    expect(refused).to.deep.equal(Array(30).fill('too many posts wait for the database'));
    await lock.release();
    await Promise.all(storing);
    expect(refused).to.have.lengthOf(30);
    expect(await db.count('messages')).to.equal(1 + 20);
  });

  it('are finished when the server is asked to stop', async () => {
    await using other = await RunningServer.start({ DATABASE_URL: db.url }, ['serve', '--no-deliver']);
    await post('first', clientOf(other.url));
    const lock = await db.lockTable('senders');
    // Whose connection had not been looked at yet is turned away without an answer, and has nothing stored.
    const posting = Promise.all(
      Array.from({ length: 60 }, (_, n) => post(`s${n}`, clientOf(other.url)).catch(() => undefined)),
    );
    await db.waitingForLocks(1);
    // By its answer the server has looked at every connection before it.
    await clientOf(other.url).get('/livez');
    const stopped = other.stop();
    await lock.release();
    const answers = (await posting).filter((it) => it !== undefined);
    expect(answers.length).to.be.greaterThan(1);
    expect(answers.map((it) => it.status)).to.deep.equal(Array(answers.length).fill(201));
    expect((await stopped).code).to.equal(0);
    expect(await db.count('messages')).to.equal(answers.length + 2);
  });
});
