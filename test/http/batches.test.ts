import { expect } from 'chai';
import { type Answer, type Client, submission } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi } from '../support/server-here.ts';

describe('posts that arrive at the same moment', () => {
  let api: Api;
  let db: TestDatabase;
  let http: Client;

  before(async () => {
    api = await openApi({ NOTIFY_TO: 'owner@site.test', TRUST_PROXY: '1' });
    ({ db, http } = api);
    await db.liftHourlyLimits();
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  const from = (n: number, headers: Record<string, string> = {}): Promise<Answer> =>
    http.post('/api/messages', submission({ email: `p${n}@example${n}.test`, message: `Hello ${n}` }), {
      'X-Forwarded-For': `198.51.${n}.1`,
      ...headers,
    });

  it('are stored in few commits with their emails; repeats get the first answer', async () => {
    const post = (n: number) => (n % 2 ? from(n) : from(n % 10, { 'Idempotency-Key': `key-${n % 10}` }));
    // The first two are separate statements, which wait; all that come meanwhile wait for them.
    const held = await db.lockTable('senders', 'share');
    const posts = [post(0)];
    await db.waitingForLocks(1);
    posts.push(post(1));
    await db.waitingForLocks(2);
    for (let n = 2; n < 50; n++) posts.push(post(n));
    // Each takes some turns of the event loop, so all posts have arrived then.
    for (let n = 0; n < 10; n++) await http.get('/livez');
    await held.release();
    const answers = await Promise.all(posts);

    expect(answers.map((it) => it.status)).to.deep.equal(Array(50).fill(201));
    for (let n = 0; n < 50; n += 2) expect(answers[n]?.text).to.equal(answers[n % 10]?.text);
    expect(new Set(answers.map((it) => it.json.receipt))).to.have.lengthOf(30);
    const [stored] = await db.query<{ messages: number; commits: number }>(
      'select count(*)::int as messages, count(distinct xmin::text)::int as commits from messages',
    );
    expect(stored?.messages).to.equal(30);
    expect(stored?.commits, 'stored together').to.be.lessThan(20);
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 30, 'notification queued': 30 });
    for (const { json } of answers) {
      const [row] = await db.query('select 1 from messages where id = $1 and receipt = $2', [json.id, json.receipt]);
      expect(row, 'everybody got the answer to what they posted').to.not.equal(undefined);
    }
  });

  it('are stored even if the database rejects one of them', async () => {
    await using context = await openTestContext(db);
    const bad = context.keyring.addressIndex('p7@example7.test').toString('hex');
    await db.query(`alter table senders add constraint no_such_sender check (address_index <> '\\x${bad}')`);
    try {
      const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => from(n)));
      expect(answers.map((it) => it.status)).to.deep.equal(Array.from({ length: 20 }, (_, n) => (n === 7 ? 500 : 201)));
    } finally {
      await db.query('alter table senders drop constraint no_such_sender');
    }
    expect(await db.count('messages')).to.equal(19);
    expect(api.server.log).to.include('no_such_sender').and.not.include('p7@');
    expect((await from(7)).status).to.equal(201);
  });

  it('are stored even if one of them takes the database too long', async () => {
    await using context = await openTestContext(db);
    const bad = context.keyring.addressIndex('p7@example7.test').toString('hex');
    // As if the statement timeout had passed.
    await db.query(
      `create function take_too_long() returns trigger language plpgsql as
         $$ begin raise exception using errcode = '57014'; end $$;
       create trigger take_too_long before insert on senders for each row
         when (new.address_index = '\\x${bad}') execute function take_too_long()`,
    );
    try {
      const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => from(n)));
      expect(answers.map((it) => it.status)).to.deep.equal(Array.from({ length: 20 }, (_, n) => (n === 7 ? 503 : 201)));
    } finally {
      await db.query('drop function take_too_long cascade');
    }
    expect(await db.count('messages')).to.equal(19);
  });

  it('are held or accepted individually', async () => {
    await from(3);
    await db.query('update senders set blocked_at = now()');
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, n) => from(n, { 'Idempotency-Key': `other-${n}` })),
    );
    expect(answers.map((it) => it.status)).to.deep.equal(Array(6).fill(201));
    const held = await db.query(`select id, reasons from messages where status = 'held'`);
    expect(held).to.deep.equal([{ id: answers[3]?.json.id, reasons: ['sender-blocked'] }]);
    expect(await db.emails()).to.deep.equal({
      'auto-reply queued': 6,
      'notification held': 1,
      'notification queued': 6,
    });
  });

  it("follow the form's latest settings, however recent the change", async () => {
    await from(1);
    const form = (settings: string) => db.query(`update forms set ${settings} where slug = 'contact'`);
    try {
      await form(`recipients = '{new@site.test}', required_fields = '{phone}'`);
      expect((await from(2)).json.errors).to.deep.equal([{ field: 'phone', code: 'missing', message: 'is required' }]);
      await form('required_fields = null');
      const told = await from(3);
      expect(
        await db.query('select recipient from emails where message_id = $1 and recipient is not null', [told.json.id]),
      ).to.deep.equal([{ recipient: 'new@site.test' }]);
      await form('closed_at = now()');
      const answers = await Promise.all(Array.from({ length: 5 }, (_, n) => from(n + 4)));
      expect(answers.map((it) => it.json.code)).to.deep.equal(Array(5).fill('form-closed'));
      await form('closed_at = null');
      expect((await from(9)).status).to.equal(201);
      expect(await db.count('messages')).to.equal(3);
    } finally {
      await form('recipients = null, required_fields = null, closed_at = null');
    }
  });
});
