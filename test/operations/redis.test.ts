import { join } from 'node:path';
import { expect } from 'chai';
import { type Client, clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { describeWith, RedisServer } from '../support/machine-programs.ts';
import { installPacked, packedFile } from '../support/packed-file.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { until } from '../support/until.ts';

describeWith(['redis-server'], 'two servers with REDIS_URL, at 3 posts an hour', () => {
  let redis: RedisServer;
  let db: TestDatabase;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let settings: Settings;
  let servers: RunningServer[];
  let [one, other]: Client[] = [];
  let serial = 0;

  before(async () => {
    redis = await RedisServer.start();
    db = await createDatabase();
    folder = await temporaryFolder();
    settings = {
      ...{ DATABASE_URL: db.url, DATA_DIR: folder.path, REDIS_URL: redis.url, RATE_LIMIT: '3/1h', TRUST_PROXY: '1' },
    };
    servers = await Promise.all([1, 2].map(() => RunningServer.start(settings, ['serve', '--no-deliver'])));
    [one, other] = servers.map((it) => clientOf(it.url));
  });
  after(async () => {
    for (const server of servers ?? []) await server[Symbol.asyncDispose]();
    await redis?.[Symbol.asyncDispose]();
    await folder?.[Symbol.asyncDispose]();
    await db?.[Symbol.asyncDispose]();
  });

  const someAddress = () => `203.0.${++serial}.9`;
  const post = async (
    client: Client | undefined,
    address: string,
    body: unknown = submission({ message: `No ${++serial}` }),
  ) => {
    const answer = await client?.post('/api/messages', body, { 'X-Forwarded-For': address });
    if (answer === undefined) throw new Error('there is no server');
    return answer;
  };
  const logged = (what: string) => servers.map((it) => it.log.split('\n').filter((line) => line.includes(what)).length);

  const isShared = () => logged('Redis is away').join() === logged('Redis is back').join();
  /**
   * Runs a scenario while Redis is available. On a busy machine an answer from Redis may take longer than the servers
   * wait; then they log it, and the scenario is repeated.
   */
  async function whileShared(scenario: () => Promise<void>): Promise<void> {
    for (let run = 1; ; run++) {
      await until('both servers share', isShared);
      const before = logged('Redis is away').join();
      try {
        return await scenario();
      } catch (error) {
        if (run === 5 || logged('Redis is away').join() === before) throw error;
      }
    }
  }
  const itShares = (title: string, scenario: () => Promise<void>) => it(title, () => whileShared(scenario));

  itShares('accept three posts from one address together, and reject the fourth', async () => {
    const address = someAddress();
    const statuses = [];
    for (const client of [one, other, one, other, one]) statuses.push((await post(client, address)).status);
    expect(statuses).to.deep.equal([201, 201, 201, 429, 429]);
    const refused = await post(other, address);
    expect(refused.headers.get('retry-after')).to.match(/^3[56]\d\d$/);
    expect(refused.headers.get('ratelimit')).to.match(/^"posts";r=0;t=3[56]\d\d$/);
  });

  itShares('accept three of thirty posts that arrive at both at once', async () => {
    const address = someAddress();
    const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => post(i % 2 ? one : other, address)));
    expect(answers.filter((it) => it.status === 201)).to.have.lengthOf(3);
  });

  itShares('count stored posts only: rejected and repeated posts do not count', async () => {
    const address = someAddress();
    for (const client of [one, other, one, other, one])
      expect((await post(client, address, submission({ email: 'ada@' }))).status).to.equal(422);
    const body = submission({ message: 'the same' });
    for (const client of [one, other, one, other]) expect((await post(client, address, body)).status).to.equal(201);
    expect((await post(other, address)).headers.get('x-ratelimit-remaining')).to.equal('1');
  });

  itShares('count requests together too, and send Retry-After', async () => {
    const address = someAddress();
    for (let i = 0; i < 30; i++) expect((await post(i % 2 ? one : other, address, '{')).status).to.equal(400);
    const refused = await post(one, address, '{');
    expect(refused.status).to.equal(429);
    expect(refused.headers.get('ratelimit')).to.match(/^"requests";r=0;t=3[56]\d\d$/);
    expect((await post(other, address)).status).to.equal(429);
  });

  itShares('count requests of an IPv6 /56 and an IPv4 /24 together', async () => {
    const net = ++serial;
    for (const [allowed, inside] of [
      [60, (n: number) => `2001:db8:${net}:11${n.toString(16).padStart(2, '0')}::1`],
      [120, (n: number) => `198.51.${net}.${n}`],
    ] as const) {
      for (let n = 0; n < allowed; n++)
        expect((await post(n % 2 ? one : other, inside(n), '{')).status, inside(n)).to.equal(400);
      const refused = await post(one, inside(allowed), '{');
      expect(refused.status).to.equal(429);
      expect(refused.headers.get('ratelimit-policy')).to.equal(`"requests";q=${allowed};w=3600`);
    }
    for (let n = 0; n < 60; n++) await post(one, `2001:db8:${net}:1100::${n}`, '{');
    expect((await post(one, `2001:db8:${net}:1200::1`, '{')).status, 'refusals do not count in the /48').to.equal(400);
  });

  itShares('share the request limit of an API key', async () => {
    const made = await ruffinweb(['keys', 'create', '--name', 'test', '--scope', 'read', '--json'], settings);
    const { secret, key } = JSON.parse(made.stdout);
    const ask = async (client: Client | undefined) =>
      (await client?.get('/api/emails', { Authorization: `Bearer ${secret ?? key}` }))?.status;
    for (let i = 0; i < 150; i++) expect([await ask(one), await ask(other)]).to.deep.equal([200, 200]);
    expect([await ask(one), await ask(other)]).to.deep.equal([429, 429]);
  });

  it('leave no IP address in Redis, and nothing permanent', async () => {
    const address = someAddress();
    await post(one, address);
    const keys = await redis.client.keys('*');
    expect(keys.length).to.be.greaterThan(3);
    for (const key of keys) {
      expect(key).to.match(/^ruffinweb:(posts|all-requests|key):[\w-]{43}$/);
      expect(await redis.client.pttl(key), key).to.be.within(1, 3_600_000);
    }
    const values = await Promise.all(keys.map((key) => redis.client.dumpBuffer(key)));
    expect(Buffer.concat(values.filter((it) => it !== null)).toString('latin1')).to.not.include('203.0.');
  });

  for (const [situation, takeAway, giveBack] of [
    ['is gone', () => redis.kill(), () => redis.startAgain()],
    ['keeps its connections and says nothing', async () => redis.freeze(), async () => redis.thaw()],
  ] as const) {
    it(`count alone while Redis ${situation}, log it once, then share again`, async () => {
      await until('both servers share', isShared);
      const away = logged('Redis is away');
      await takeAway();
      const address = someAddress();
      const statuses = [];
      for (const client of [one, one, one, one, other, other, other, other])
        statuses.push((await post(client, address)).status);
      expect(statuses).to.deep.equal([201, 201, 201, 429, 201, 201, 201, 429]);
      expect(logged('Redis is away')).to.deep.equal(away.map((it) => it + 1));
      await giveBack();
      await whileShared(async () => {
        const next = someAddress();
        const shared = [];
        for (const client of [one, other, one, other]) shared.push((await post(client, next)).status);
        expect(shared).to.deep.equal([201, 201, 201, 429]);
      });
    });
  }

  it('start without Redis, and share when it is available', async () => {
    await redis.kill();
    await using late = await RunningServer.start(settings, ['serve', '--no-deliver']);
    expect((await post(clientOf(late.url), someAddress())).status).to.equal(201);
    expect(late.log).to.include('Redis is away');
    await redis.startAgain();
    await late.said(/Redis is back/);
  });

  it('report a missing Redis as a warning, and hide its password', async () => {
    const look = async (url: string) => {
      const { code, stdout } = await ruffinweb(['health', '--json'], { ...settings, REDIS_URL: url });
      expect(stdout).to.not.include('hunter2');
      return { code, ...JSON.parse(stdout).checks.find((it: { name: string }) => it.name === 'redis') };
    };
    const well = await look(redis.url);
    expect(well).to.include({ code: 0, status: 'ok' });
    expect(well.fact).to.match(/^Redis \d+\.\d+\.\d+ answers in \d+\.\d ms$/);
    const away = await look('redis://user:hunter2@127.0.0.1:1');
    expect(away).to.include({ code: 0, status: 'warn', fix: 'start Redis, or correct REDIS_URL' });
    expect(away.fact).to.include('ECONNREFUSED');
  });

  it('work in the packed program too, which loads libraries differently', async () => {
    const program = await installPacked(await packedFile(), join(folder.path, 'prefix'));
    const health = await ruffinweb(['health', '--json'], settings, '', program);
    const check = JSON.parse(health.stdout).checks.find((it: { name: string }) => it.name === 'redis');
    expect(check.status, check.fact).to.equal('ok');
  });

  it('reject an invalid REDIS_URL at the start', async () => {
    const wrong = await ruffinweb(['serve'], { ...settings, REDIS_URL: 'http://redis.example.com' });
    expect(wrong.code).to.equal(2);
    expect(wrong.stderr).to.include('REDIS_URL must be a redis:// or rediss:// address');
  });
});
