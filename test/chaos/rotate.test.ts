import { expect } from 'chai';
import { type Client, clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer, ruffinweb, type Settings, temporaryFolder } from '../support/program.ts';
import { chaosSeed, randomFrom } from '../support/random.ts';
import { until } from '../support/until.ts';

const key = (id: string, byte: number) => `${id}:${Buffer.alloc(32, byte).toString('base64')}`;
const [k1, k2] = [key('k1', 1), key('k2', 2)];

/**
 * One server encrypts with the old key and one with the new key. Both receive posts all the time, while the rotation is
 * killed at random moments. Run a failure again with the printed `CHAOS_SEED`.
 */
describe('killing "encryption rotate" under load, six times', () => {
  const seed = chaosSeed();
  let db: TestDatabase;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let settings: Settings;

  before(async () => {
    console.log(`    CHAOS_SEED=${seed}`);
    db = await createDatabase();
    folder = await temporaryFolder();
    settings = { DATABASE_URL: db.url, DATA_DIR: folder.path };
  });
  after(async () => {
    await folder[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  const sealedWithOld = async () => {
    const [row] = await db.query<{ count: number }>(
      `select (select count(*) from messages where substring(content from 3 for 2) = 'k1')::int
         + (select count(*) from senders where substring(address from 3 for 2) = 'k1')::int as count`,
    );
    return row?.count ?? 0;
  };

  it('the new key alone decrypts every message answered 201', async () => {
    const random = randomFrom(seed);
    const texts = new Map<string, string>();
    await using old = await RunningServer.start({ ...settings, ENCRYPTION_KEYS: `${k1},${k2}` });
    await using fresh = await RunningServer.start({ ...settings, ENCRYPTION_KEYS: `${k2},${k1}` });
    const clients = [clientOf(old.url), clientOf(fresh.url)];
    let posts = 0;
    const post = async (client: Client) => {
      const number = ++posts;
      const message = `text ${number} ☃`;
      // Everybody posts twice.
      const email = `p${Math.ceil(number / 2)}@example.test`;
      const answer = await client.post('/api/messages', submission({ email, message }));
      expect(answer.status, answer.text).to.equal(201);
      texts.set(answer.json.id, message);
    };
    for (let batch = 0; batch < 40; batch++)
      await Promise.all(Array.from({ length: 50 }, () => post(clients[0] as Client)));

    const load = new AbortController();
    const loads = clients.map(async (client) => {
      while (!load.signal.aborted) await post(client);
    });
    const rotation = { ...settings, ENCRYPTION_KEYS: `${k2},${k1}` };
    let killed = 0;
    for (let round = 0; round < 6; round++) {
      const left = await sealedWithOld();
      const limit = Math.floor(left * (0.4 + 0.55 * random()));
      await using rotating = await RunningServer.startCommand(['encryption', 'rotate', '--yes', '--json'], rotation);
      let ended = false;
      await until(
        'it is half-way',
        async () => {
          ended = rotating.output !== '';
          return ended || (await sealedWithOld()) < limit;
        },
        60_000,
      );
      if ((await rotating.stop('SIGKILL')).signal === 'SIGKILL') killed++;
    }
    console.log(`    killed ${killed} times, ${await sealedWithOld()} rows left of ${posts} posts`);
    expect(killed).to.be.greaterThan(3);

    // To the end, two at once, while the old server still encrypts with the old key.
    const both = await Promise.all([1, 2].map(() => ruffinweb(['encryption', 'rotate', '--yes', '--json'], rotation)));
    for (const { stdout, stderr } of both) expect(JSON.parse(stdout).others[0], stderr).to.include({ id: 'k1' });
    load.abort();
    await Promise.all(loads);
    expect((await old.stop()).code).to.equal(0);

    // Every server has the new key first by now, so one more rotation finds the rest.
    const last = await ruffinweb(['encryption', 'rotate', '--yes', '--json'], rotation);
    expect(last.code, last.stderr + last.stdout).to.equal(0);
    expect(JSON.parse(last.stdout)).to.deep.include({
      unopened: { count: 0, first: [] },
      others: [{ id: 'k1', needed: false, reason: null }],
    });
    const alone = { ...settings, ENCRYPTION_KEYS: k2 };
    const exported = await ruffinweb(['messages', 'export', '--format', 'jsonl'], alone);
    const read = new Map(
      exported.stdout
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .map((it) => [it.id, it.message]),
    );
    expect(read.size).to.equal(texts.size);
    for (const [id, text] of texts) expect(read.get(id)).to.equal(text);
    const found = await ruffinweb(['senders', 'show', '--email', 'p1@example.test', '--json'], alone);
    expect(JSON.parse(found.stdout).email).to.equal('p1@example.test');
  });
});

describe('a worker without the new key', () => {
  it('fails no mail: a worker with the key delivers it later', async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    const settings = { DATABASE_URL: db.url, DATA_DIR: folder.path, AUTO_REPLY: 'on' };
    await using old = await RunningServer.startWorker({ ...settings, ENCRYPTION_KEYS: k1 });
    await old.said(/delivering to/);
    await using fresh = await RunningServer.start({ ...settings, ENCRYPTION_KEYS: `${k2},${k1}` }, [
      'serve',
      '--no-deliver',
    ]);
    const answer = await clientOf(fresh.url).post('/api/messages', submission());
    expect(answer.status).to.equal(201);
    await old.said(/email could not be composed[\s\S]*email not delivered yet/);
    await until('both were tried', async () => (await db.count('attempts')) === 2);
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });
    await old.stop();
    await db.makeAllDue();
    const done = await ruffinweb(['deliver', '--once'], { ...settings, ENCRYPTION_KEYS: `${k2},${k1}` });
    expect(done.code, done.stderr).to.equal(0);
    expect(await db.emails()).to.deep.equal({ 'auto-reply sent': 1, 'notification sent': 1 });
  });
});
