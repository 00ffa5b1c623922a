import { expect } from 'chai';
import { browserAccept, type Client, clientOf, submission } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { type ServerHere, startServerHere } from '../support/server-here.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

describe('repeated post', () => {
  let db: TestDatabase;
  let servers: ServerHere[];
  let http: Client[];

  before(async () => {
    db = await createDatabase();
    const settings = { DATABASE_URL: db.url, NOTIFY_TO: 'owner@site.test' };
    const start = () => startServerHere(settings);
    servers = await Promise.all([start(), start()]);
    http = servers.map((it) => clientOf(it.url));
  });
  after(async () => {
    for (const server of servers) await server[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  /** Posts to the servers in turn. */
  const post = (n: number, changes: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
    (http[n % http.length] as Client).post('/api/messages', submission(changes), headers);

  it('(Idempotency-Key, 50 times at once, two servers) is stored once, one answer', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => post(n, {}, { 'Idempotency-Key': 'key-1' })),
    );
    expect(answers.map((it) => it.status)).to.deep.equal(Array(50).fill(201));
    expect(new Set(answers.map((it) => it.text))).to.have.lengthOf(1);
    expect(await db.count('messages')).to.equal(1);
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });
  });

  it('(no key, 50 times at once, two servers) is stored once in ten minutes', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, n) => post(n, { email: n % 2 ? 'ADA@example.test' : 'ada@example.test' })),
    );
    expect(new Set(answers.map((it) => it.text))).to.have.lengthOf(1);
    expect(await db.count('messages')).to.equal(1);

    await db.query(`update recent_posts set stored_at = stored_at - interval '10 minutes'`);
    const later = await post(0);
    expect(later.status).to.equal(201);
    expect(later.json.id).to.not.equal(answers[0]?.json.id);
    expect(await db.count('messages')).to.equal(2);
  });

  it('is a new message with another text, address or key', async () => {
    await post(0);
    await post(0, { message: 'Something else' });
    await post(0, { email: 'bob@example.test' });
    await post(0, {}, { 'Idempotency-Key': 'a' });
    await post(0, {}, { 'Idempotency-Key': 'b' });
    expect(await db.count('messages')).to.equal(5);
  });

  it('is a new message if any stored field differs', async () => {
    const booking = { date: 'Tuesday', _elapsed: '5000', 'cf-turnstile-response': 'one' };
    const first = await post(0, booking);
    const again = await post(1, { ...booking, _elapsed: '6000', 'cf-turnstile-response': 'two', _gotcha: '' });
    expect(again.text).to.equal(first.text);
    for (const changes of [{ date: 'Wednesday' }, { name: 'Ada L.' }, { subject: 'Booking' }, { guests: '2' }]) {
      const other = await post(0, { ...booking, ...changes });
      expect(other.status).to.equal(201);
      expect(other.json.id, JSON.stringify(changes)).to.not.equal(first.json.id);
    }
    expect(await db.count('messages')).to.equal(5);
  });

  it('without the key of the first time is still a repeat', async () => {
    const first = await post(0, {}, { 'Idempotency-Key': 'k' });
    expect((await post(1)).text).to.equal(first.text);
    const other = await post(0, {}, { 'Idempotency-Key': 'another' });
    expect(other.json.id, 'another key means another post').to.not.equal(first.json.id);
    expect(await db.count('messages')).to.equal(2);
  });

  it("with another post's key is rejected, and the first stays unchanged", async () => {
    const first = await post(0, {}, { 'Idempotency-Key': 'k' });
    const other = await post(1, { message: 'Another text' }, { 'Idempotency-Key': 'k' });
    expect([other.status, other.json.code]).to.deep.equal([422, 'idempotency-key-reused']);
    expect((await post(1, {}, { 'Idempotency-Key': 'k' })).text).to.equal(first.text);
    expect(await db.count('messages')).to.equal(1);
  });

  it('with a key that is a day old is a new message', async () => {
    const first = await post(0, {}, { 'Idempotency-Key': 'k' });
    await db.query(`update message_keys set stored_at = stored_at - interval '24 hours'`);
    const second = await post(0, {}, { 'Idempotency-Key': 'k' });
    expect(second.status).to.equal(201);
    expect(second.json.id).to.not.equal(first.json.id);
  });

  it('gets the same answer after a restart', async () => {
    const first = await post(0, {}, { 'Idempotency-Key': 'k' });
    await using other = await startServerHere({ DATABASE_URL: db.url });
    const again = await clientOf(other.url).post('/api/messages', submission(), { 'Idempotency-Key': 'k' });
    expect(again.text).to.equal(first.text);
  });

  it('with an invalid key is rejected', async () => {
    for (const key of ['with space', 'x'.repeat(256)]) {
      const answer = await post(0, {}, { 'Idempotency-Key': key });
      expect([answer.status, answer.json.code]).to.deep.equal([400, 'idempotency-key-invalid']);
    }
    expect(await db.count('messages')).to.equal(0);
  });

  it("gets the first answer after the database's response was lost", async () => {
    await using proxy = await TcpProxy.before(db.url);
    await using server = await startServerHere({ DATABASE_URL: proxy.urlOf(db.url) });
    const visitor = clientOf(server.url);
    expect((await visitor.post('/api/messages', submission({ message: 'before' }))).status).to.equal(201);

    const cut = proxy.cutAt('after', 'store_messages');
    const lost = await visitor.post('/api/messages', submission());
    await cut;
    proxy.mode = 'refuse';
    expect(lost.status).to.equal(503);
    expect(lost.json.detail).to.include('the message may not have been stored');
    await until('it is stored', async () => (await db.count('messages')) === 2);
    const [stored] = await db.query<{ receipt: string }>('select receipt from messages order by id desc');
    const page = await visitor.send('/api/messages', {
      method: 'POST',
      headers: { Accept: browserAccept },
      body: new URLSearchParams({ email: 'ada@example.test', message: 'What I typed' }),
    });
    expect(page.text).to.include('may not have been stored').and.include('never stored twice');
    expect(page.text).to.include('What I typed').and.include('Try again');
    const foreign = await visitor.send('/api/messages', {
      method: 'POST',
      headers: { Accept: browserAccept, Origin: 'https://evil.example.test' },
      body: new URLSearchParams({ email: 'ada@example.test', message: 'What I typed' }),
    });
    expect(foreign.status).to.equal(503);
    expect(foreign.text, 'of a page that may not post').to.include('What I typed').and.not.include('<form');

    proxy.mode = 'pass';
    const again = await until('posts are taken', async () => {
      const answer = await visitor.post('/api/messages', submission());
      return answer.status === 201 ? answer : undefined;
    });
    expect(again.json.receipt).to.equal(stored?.receipt);
    expect(await db.count('messages')).to.equal(2);
  });

  it('as a double click without script leads to the same receipt', async () => {
    const click = () =>
      (http[0] as Client).send('/api/messages', {
        method: 'POST',
        headers: { Accept: browserAccept },
        body: new URLSearchParams({ email: 'ada@example.test', message: 'Hello' }),
      });
    const [one, two] = await Promise.all([click(), click()]);
    expect(one.status).to.equal(303);
    expect(one.headers.get('location')).to.equal(two.headers.get('location'));
    expect(await db.count('messages')).to.equal(1);
  });

  it('waits while the first is being stored, and gets 409 after five seconds', async () => {
    await using context = await openTestContext(db);
    const lock = await db.lockKey(context.keyring.keyIndex('k').readBigInt64BE(8));
    const answer = await post(0, {}, { 'Idempotency-Key': 'k' });
    expect([answer.status, answer.json.code]).to.deep.equal([409, 'repeat-in-progress']);

    const waiting = post(1, {}, { 'Idempotency-Key': 'k' });
    await db.waitingForLocks(1);
    await lock.release();
    expect((await waiting).status).to.equal(201);
  });
});
