import { expect } from 'chai';
import { runHere } from '../cli/terminal.ts';
import { browserAccept, type Client, submission } from '../support/api.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi, type ServerHere } from '../support/server-here.ts';

describe('POST /api/messages', () => {
  let api: Api;
  let db: TestDatabase;
  let server: ServerHere;
  let http: Client;

  before(async () => {
    api = await openApi({
      ...{ NOTIFY_TO: 'owner@site.test, office@site.test', MAIL_FROM: 'Site <site@site.test>', TRUST_PROXY: '1' },
    });
    ({ db, server, http } = api);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
    await db.query(`update forms set closed_at = null, closes_at = null, message_limit = null, closed_text = null,
      recipients = null, auto_reply = null`);
  });

  it('stores the message and queues a mail per owner and one auto-reply', async () => {
    const answer = await http.post(
      '/api/messages',
      submission({ subject: 'A question', company: 'Analytical Engines' }),
    );

    expect(answer.status).to.equal(201);
    expect(answer.json).to.have.all.keys('id', 'receipt', 'receivedAt');
    expect(answer.json.receipt).to.match(/^RW-[0-9A-HJKMNP-TV-Z]{10}$/);
    expect(Math.abs(Date.now() - Date.parse(answer.json.receivedAt))).to.be.below(60_000);
    const [message] = await db.query<{ id: string; receipt: string; status: string }>('select * from messages');
    expect(message).to.include({ id: answer.json.id, receipt: answer.json.receipt, status: 'accepted' });
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 2 });
    expect(await db.count('attempts'), 'sending belongs to the loop, never to the request').to.equal(0);
    expect(server.log).to.include(answer.json.receipt);
    expect(server.log).to.not.match(/ada@|Lovelace|Hello there|A question|Analytical/i);
  });

  it('stores fifty parallel posts by one new address: one sender and auto-reply', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        http.post(
          '/api/messages',
          submission({ email: i % 2 ? 'Crowd@Example.test' : 'crowd@example.TEST', message: `No ${i}` }),
        ),
      ),
    );

    expect(answers.map((it) => it.status)).to.deep.equal(Array(50).fill(201));
    expect(new Set(answers.map((it) => it.json.receipt))).to.have.lengthOf(50);
    const senders = await db.query<{ message_count: number }>('select message_count from senders');
    expect(senders).to.deep.equal([{ message_count: 50 }]);
    expect(await db.count('messages')).to.equal(50);
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 100 });
  });

  it('redirects a browser without script to the page with its receipt', async () => {
    const answer = await http.send('/api/messages', {
      method: 'POST',
      headers: { Accept: browserAccept },
      body: new URLSearchParams({ email: 'ada@example.test', message: 'Hello' }),
    });

    expect(answer.status).to.equal(303);
    const [message] = await db.query<{ receipt: string }>('select receipt from messages');
    expect(answer.headers.get('location')).to.equal(`/thanks?receipt=${message?.receipt}`);
    const page = await http.get(answer.headers.get('location') ?? '', { Accept: browserAccept });
    expect(page.status).to.equal(200);
    expect(page.text).to.include(message?.receipt);
  });

  it('accepts first_name, firstName, _replyto and _subject as alternatives', async () => {
    await http.post('/api/messages', { first_name: 'Ada', _replyto: 'ada@example.test', _subject: 'Hi', message: 'x' });
    await http.post('/api/messages', { firstName: 'Bob', name: '', email: 'bob@example.test', message: 'x' });

    expect(await db.count('messages')).to.equal(2);
    const rows = await db.query<{ named: boolean }>('select name is not null as named from senders');
    expect(rows).to.deep.equal([{ named: true }, { named: true }]);
  });

  describe('rejects, and stores nothing', () => {
    afterEach(async () => {
      expect(await db.count('messages')).to.equal(0);
      expect(await db.count('emails')).to.equal(0);
    });

    it('with every invalid field named at once', async () => {
      const answer = await http.post('/api/messages', {
        email: ['a@example.test', 'b@example.test'],
        message: ' \n ',
        name: 'x'.repeat(201),
        subject: 'two\r\nlines',
        object: { $ne: 1 },
        long: 'y'.repeat(2001),
        'control\u0007name': 'z',
      });

      expect(answer.status).to.equal(422);
      expect(answer.headers.get('content-type')).to.equal('application/problem+json; charset=utf-8');
      expect(answer.json).to.include({
        code: 'fields-invalid',
        status: 422,
        type: 'urn:ruffinweb:problem:fields-invalid',
      });
      expect(answer.json.requestId).to.equal(answer.headers.get('x-request-id'));
      expect(answer.json.errors.map((it: { field: string; code: string }) => [it.field, it.code])).to.deep.equal([
        ['email', 'invalid'],
        ['message', 'missing'],
        ['name', 'too-long'],
        ['subject', 'invalid'],
        ['object', 'invalid'],
        ['long', 'too-long'],
        ['control\u0007name', 'invalid'],
      ]);
    });

    for (const email of [
      'ada',
      'ada@localhost',
      'a@x.test,b@y.test',
      'Ada <ada@example.test>',
      '"a b"@example.test',
      'ada@example.test\r\nBcc: x@y.test',
      'ada@[127.0.0.1]',
      'ada@127.0.0.1',
      'ada@exam ple.test',
      'ada@example.test(comment)',
      `${'a'.repeat(65)}@example.test`,
      'ada..b@example.test',
      'josé@example.test',
    ]) {
      it(`with an invalid address: ${JSON.stringify(email)}`, async () => {
        const answer = await http.post('/api/messages', submission({ email }));
        expect(answer.status).to.equal(422);
        expect(answer.json.errors[0]).to.include({ field: 'email', code: 'invalid' });
      });
    }

    it('with more than thirty extra fields', async () => {
      const extra = Object.fromEntries(Array.from({ length: 31 }, (_, i) => [`f${i}`, 'x']));
      const answer = await http.post('/api/messages', { ...submission(), ...extra });
      expect(answer.status).to.equal(422);
      expect(answer.json.errors[0].code).to.equal('too-many');
    });

    for (const [what, body] of [
      ['half a JSON text', '{"email":"secret-canary@example.test'],
      ['a JSON list', '[]'],
      ['a JSON null', 'null'],
      ['nothing', ''],
    ] as const) {
      it(`with ${what}: 400`, async () => {
        const answer = await http.post('/api/messages', body);
        expect(answer.status).to.equal(400);
        expect(answer.json.code).to.equal('body-unreadable');
        expect(answer.text + server.log).to.not.include('secret-canary');
      });
    }

    it('with bytes that are not UTF-8: 400', async () => {
      const body = Buffer.concat([Buffer.from('email=ada@example.test&message='), Buffer.from([0xe9, 0xff])]);
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
      expect((await http.send('/api/messages', { method: 'POST', headers, body })).status).to.equal(400);
    });

    it('with more than 64 KiB: 413', async () => {
      const answer = await http.post('/api/messages', submission({ message: 'x'.repeat(65 * 1024) }));
      expect(answer.status).to.equal(413);
      expect(answer.json.code).to.equal('body-too-large');
    });

    for (const [what, headers] of [
      ['text/plain', { 'Content-Type': 'text/plain' }],
      ['no type', { 'Content-Type': '' }],
      ['another charset', { 'Content-Type': 'application/x-www-form-urlencoded; charset=iso-8859-1' }],
      ['compressed', { 'Content-Type': 'application/json', 'Content-Encoding': 'gzip' }],
    ] as [string, Record<string, string>][]) {
      it(`with an unsupported content type (${what}): 415`, async () => {
        const answer = await http.send('/api/messages', {
          method: 'POST',
          headers,
          body: JSON.stringify(submission()),
        });
        expect(answer.status).to.equal(415);
        expect(answer.json.code).to.equal('body-type-unknown');
      });
    }

    for (const [what, setting] of [
      ['a closed form', 'closed_at = now()'],
      ['a form whose time is over', 'closes_at = now()'],
      ['a full form', 'message_limit = 0'],
    ] as const) {
      it(`to ${what}: 410, in the owner's words`, async () => {
        await db.query(`update forms set ${setting}`);
        const plain = await http.post('/api/messages', submission());
        expect([plain.status, plain.json.code]).to.deep.equal([410, 'form-closed']);
        const closedText = 'Sold out – see <b>shop.test</b>!';
        await db.query('update forms set closed_text = $1', [closedText]);
        const own = await http.post('/api/messages', submission());
        expect(own.json).to.include({ status: 410, code: 'form-closed', detail: closedText });
        expect(own.json.visitor).to.deep.equal({ language: 'en', text: closedText });
        const formspree = await http.post('/f/contact', submission());
        expect([formspree.status, formspree.json]).to.deep.equal([
          410,
          { error: closedText, errors: [{ code: 'INACTIVE', message: closedText }] },
        ]);
        const django = await http.post('/api/message', submission());
        expect([django.status, django.json]).to.deep.equal([410, { detail: closedText }]);
        const body = new URLSearchParams({ email: 'ada@example.test', message: 'My long text' });
        const page = await http.send('/api/messages', { method: 'POST', headers: { Accept: browserAccept }, body });
        expect(page.status).to.equal(410);
        expect(page.text).to.include('Sold out – see &lt;b&gt;shop.test&lt;/b&gt;!').and.include('My long text');
      });
    }

    it('from a browser: with a safe page that keeps the text and marks errors', async () => {
      const answer = await http.send('/api/messages', {
        method: 'POST',
        headers: { Accept: browserAccept },
        body: new URLSearchParams({ email: 'ada@', message: '</textarea><script>alert(1)</script>', budget: '"><b>5' }),
      });
      expect(answer.status).to.equal(422);
      expect(answer.headers.get('content-type')).to.equal('text/html; charset=utf-8');
      expect(answer.text).to.include('value="ada@"').and.include('E-mail must be a single e-mail address');
      expect(answer.text).to.include('&lt;/textarea&gt;&lt;script&gt;').and.include('value="&#34;&gt;&lt;b&gt;5"');
      expect(answer.text).to.not.include('<script');
      expect(answer.headers.get('content-security-policy')).to.not.include('unsafe');
    });
  });

  describe('auto-reply', () => {
    const queued = async () => (await db.emails())['auto-reply queued'] ?? 0;

    it('is sent once a day to one mailbox, however its address is written', async () => {
      const mailboxes = [
        ['ada.l+x@gmail.com', 'ADAL@gmail.com', 'a.d.a.l@googlemail.com', 'adal+y@gmail.com'],
        ['a.d-a_l@proton.me', 'adal@protonmail.com', 'ADAL@pm.me', 'ad.al+z@protonmail.ch'],
        ['adal@fastmail.com', 'x0@adal.fastmail.com', 'x1+y@adal.fastmail.com', 'shop@x.adal.fastmail.com'],
        ['ada-l@yandex.ru', 'ada.l@ya.ru', 'ada.l@yandex.com'],
        ['adal@icloud.com', 'adal@me.com', 'AdaL+x@mac.com'],
        ['adal@fastmail.fm', 'any@adal.fastmail.fm'],
      ];
      for (const email of mailboxes.flat()) {
        expect((await http.post('/api/messages', submission({ email }))).status).to.equal(201);
      }
      expect(await queued()).to.equal(mailboxes.length);

      await db.query(`update reply_days set replied_at = replied_at - interval '1 day'`);
      await http.post('/api/messages', submission({ email: 'adal@gmail.com', message: 'A day later' }));
      expect(await queued()).to.equal(mailboxes.length + 1);
    });

    const from = (client: string, email: string) =>
      http.post('/api/messages', submission({ email, message: `From ${client}` }), { 'X-Forwarded-For': client });
    /** Why each message got no auto-reply, in the order of the posts. */
    const reasons = async () =>
      (await db.query<{ no_reply: string | null }>('select no_reply from messages order by id')).map(
        (it) => it.no_reply,
      );

    it('is limited to ten an hour for one client network, an IPv4 /24 or an IPv6 /48', async () => {
      for (const [one, other] of [
        ['198.51.100.', '198.51.101.'],
        ['2001:db8:1:', '2001:db8:2:'],
      ] as const) {
        const addressIn = (network: string, n: number) =>
          network.includes(':') ? `${network}${n}::1` : `${network}${n}`;
        for (let n = 1; n <= 12; n++) await from(addressIn(one, n), `${one[0]}p${n}@gmail.com`);
        await from(addressIn(other, 1), `${one[0]}q@gmail.com`);
        expect(await reasons()).to.deep.equal([...Array(10).fill(null), 'network-limit', 'network-limit', null]);
        await db.empty();
      }
      // All in one statement, too.
      await Promise.all(Array.from({ length: 40 }, (_, n) => from('198.51.100.7', `p${n}@gmail.com`)));
      expect(await queued()).to.equal(10);
    });

    it('is limited to twenty an hour for one domain, with all names below it', async () => {
      await from('198.51.100.1', 'p1@victim.test');
      await db.query('update reply_limits set replies = 19');
      for (const [n, email] of [
        'p2@a.victim.test',
        'p3@b.a.victim.test',
        'p4@VICTIM.test',
        'p5@other.test',
      ].entries()) {
        await from(`203.0.${n}.1`, email);
      }
      expect(await reasons()).to.deep.equal([null, null, 'domain-limit', 'domain-limit', null]);
      await db.empty();
      for (let n = 0; n < 2; n++) await from(`203.0.${n}.1`, `p${n}@gmail.com`);
      expect(await db.query('select from reply_limits'), 'only the networks').to.have.lengthOf(2);
      for (let n = 2; n < 4; n++) await from(`203.0.${n}.1`, `p${n}@shop${n}.co.uk`);
      expect(await db.query('select from reply_limits'), 'two domains').to.have.lengthOf(6);
    });

    it('is not sent to a mailbox that opted out under one spelling in release 0.2.0', async () => {
      await from('198.51.100.1', 'a.da@proton.me');
      await db.query('insert into suppressions select address_index, now() from senders');
      await db.query(`update reply_days set replied_at = replied_at - interval '1 day'`);
      await from('198.51.100.2', 'a.da@proton.me');
      expect(await reasons()).to.deep.equal([null, 'opted-out']);
    });

    it('says in "messages show" why none was sent', async () => {
      const why = async (post: () => Promise<{ json: { receipt: string } }>) => {
        const { receipt } = (await post()).json;
        const { stdout } = await runHere(['messages', 'show', receipt], db);
        return /auto-reply +none, because (.*)/.exec(stdout)?.[1];
      };
      const visitor = () => from('198.51.100.1', 'ada@example.test');
      expect(await why(visitor)).to.equal(undefined);
      expect(await why(() => from('198.51.100.2', 'ada@example.test'))).to.equal('this mailbox got one within a day');
      expect(await why(() => from('198.51.100.1', 'noreply@example.test'))).to.include('a program, a list');
      const spam = () => http.post('/api/messages', submission({ email: 'b@example.test', _gotcha: 'x' }));
      expect(await why(spam)).to.equal('the message was held');
      await db.query('insert into suppressions select address_index, now() from senders on conflict do nothing');
      expect(await why(() => from('198.51.100.3', 'b@example.test'))).to.equal('this mailbox wants none');
      await db.query('update reply_limits set replies = 20');
      expect(await why(() => from('198.51.100.1', 'c@gmail.com'))).to.include('network caused 10');
      expect(await why(() => from('203.0.113.1', 'd@example.test'))).to.include('domain got 20');
      await db.query('update reply_hours set replies = 100');
      expect(await why(() => from('203.0.113.1', 'e@gmail.com'))).to.include('the form sent 100');
      await db.query('update forms set auto_reply = false');
      expect(await why(() => from('203.0.113.1', 'f@gmail.com'))).to.equal('the form sends none');
    });

    it('is not sent to role addresses, lists, programs or our own addresses', async () => {
      const addresses = [
        'noreply@shop.test',
        'Mailer-Daemon@shop.test',
        'no-reply+1@shop.test',
        'no.reply@shop.test',
        'no_reply@shop.test',
        'noreply-orders@shop.test',
        'orders-noreply@shop.test',
        'Do.Not.Reply@shop.test',
        'auto-reply@shop.test',
        'notifications@shop.test',
        'owner-friends@lists.test',
        'friends-owner@lists.test',
        'friends-request@lists.test',
        'friends-bounces+ada=example.test@lists.test',
        'friends-subscribe@lists.test',
        'friends-unsubscribe@lists.test',
        'friends-join@lists.test',
        'friends-leave@lists.test',
        'friends-confirm+1a2b3c@lists.test',
        'SRS0=HHH=TT=example.test=ada@forwarder.test',
        'SRS0+HHH=TT=example.test=ada@forwarder.test',
        'SRS1=HHH=forwarder.test==HHH=TT=example.test=ada@other.test',
        'prvs=1234567890=ada@example.test',
        'list+subscribe@lists.test',
        'group+unsubscribe@googlegroups.com',
        'list+owner@lists.test',
        'list+help@lists.test',
        'list+confirm-1a2b@lists.test',
        'list+bounces-12@lists.test',
        'list-subscribe-ada=example.test@lists.test',
        'list-help@lists.test',
        'list-on@lists.test',
        'join-list@lists.test',
        'subscribe@lists.test',
        'unsubscribe@lists.test',
        'bounces-1@lists.test',
        'mailman@lists.test',
        'sympa@lists.test',
        'www-data@host.test',
        'nobody@host.test',
        'return-7-ada=example.test@lists.test',
        'victim%evil.test@forms.test',
        'evil.test!victim@forms.test',
        '|id@forms.test',
        '/tmp/x@forms.test',
        'a/b@forms.test',
        '-oQ/tmp@forms.test',
        '-x@forms.test',
        '=?utf-8?q?victim=40evil.test=3E?=@forms.test',
        'site@site.test',
        'OFFICE@site.test',
        'office+shop@site.test',
      ];
      for (const email of addresses) {
        expect((await http.post('/api/messages', submission({ email }))).status, email).to.equal(201);
      }
      const replied = await db.query(
        `select receipt from emails join messages on messages.id = message_id where kind = 'auto-reply'`,
      );
      expect(replied).to.deep.equal([]);
      expect((await db.emails())['notification queued']).to.equal(2 * addresses.length);
    });

    it('is sent to people whose names look a little like a program', async () => {
      const people = [
        'owner',
        'norbert.owner',
        'mrequest',
        'request',
        'join',
        'leave-no-trace',
        'juno.replyson',
        'marino.reply',
        'autoreplyfan',
        'notifications.officer',
        'srs0',
        'prvs',
        '+ada',
        'roots',
        'ada=lovelace',
        'anna-lena',
        'shop.help',
        'nobody.knows',
      ];
      for (const name of people) {
        await db.query('delete from reply_limits');
        expect((await http.post('/api/messages', submission({ email: `${name}@example.test` }))).status).to.equal(201);
      }
      expect(await queued()).to.equal(people.length);
    });

    it('is not sent to the owner, in any spelling of a Gmail address', async () => {
      await db.query(`update forms set recipients = '{ada.owner@gmail.com}'`);
      await http.post('/api/messages', submission({ email: 'a.d.a.owner+x@googlemail.com' }));
      expect(await db.emails()).to.deep.equal({ 'notification queued': 1 });
    });

    it('is limited to a hundred an hour per form, invisibly to the visitor', async () => {
      await db.query(`insert into reply_hours select id, date_trunc('hour', now(), 'UTC'), 98 from forms`);
      await db.query(
        `insert into reply_hours select id, date_trunc('hour', now(), 'UTC') + interval '1 hour', 98 from forms`,
      );
      const answers = await Promise.all(
        Array.from({ length: 6 }, (_, i) => http.post('/api/messages', submission({ email: `p${i}@example.test` }))),
      );
      expect(new Set(answers.map((it) => `${it.status} ${Object.keys(it.json)}`))).to.have.lengthOf(1);
      expect(await queued()).to.equal(2);
    });

    it('is sent the next time if the hourly limit stopped it', async () => {
      await db.query(`insert into reply_hours select id, date_trunc('hour', now(), 'UTC'), 100 from forms`);
      await db.query(
        `insert into reply_hours select id, date_trunc('hour', now(), 'UTC') + interval '1 hour', 100 from forms`,
      );
      await http.post('/api/messages', submission());
      expect(await queued()).to.equal(0);
      await db.query('truncate reply_hours');
      await http.post('/api/messages', submission({ message: 'Another' }));
      expect(await queued()).to.equal(1);
      await http.post('/api/messages', submission({ message: 'A third' }));
      expect(await queued(), 'one a day').to.equal(1);
      const [hour] = await db.query<{ replies: number }>('select sum(replies)::int as replies from reply_hours');
      expect(hour, 'a sender with a reply is not counted again').to.deep.equal({ replies: 1 });
    });

    it("follows the form's setting", async () => {
      await db.query(`update forms set auto_reply = false, recipients = '{third@site.test}'`);
      await http.post('/api/messages', submission());
      expect(await db.emails()).to.deep.equal({ 'notification queued': 1 });
      expect(await db.query('select recipient from emails')).to.deep.equal([{ recipient: 'third@site.test' }]);
    });
  });
});
