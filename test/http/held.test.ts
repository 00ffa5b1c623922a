import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { runMaintenanceOnce } from '../../src/services/maintenance/run-maintenance.ts';
import { readReleaseLink, signLink, signReleaseLink } from '../../src/services/signed-links.ts';
import { runHere } from '../cli/terminal.ts';
import { type Answer, browserAccept, type Client, submission } from '../support/api.ts';
import { openTestContext } from '../support/context.ts';
import type { TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { type Api, openApi } from '../support/server-here.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';

describe('suspicious message', () => {
  let api: Api;
  let db: TestDatabase;
  let http: Client;

  before(async () => {
    api = await openApi({ NOTIFY_TO: 'owner@site.test' });
    ({ db, http } = api);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
  });

  /** Mail goes to `smtp`. */
  const settingsWith = (smtp: SmtpServer) => ({
    DATABASE_URL: db.url,
    NOTIFY_TO: 'owner@site.test',
    MAIL_FROM: 'Site <site@site.test>',
    SMTP_HOST: smtp.host,
    SMTP_PORT: String(smtp.port),
  });
  const links = (n: number) => Array.from({ length: n }, (_, i) => `https://x${i}.test`).join(' ');

  for (const [reason, changes] of [
    ['honeypot', { _gotcha: 'filled' }],
    ['honeypot', { _honey: 'filled' }],
    ['honeypot', { 'bot-field': 'filled' }],
    ['honeypot', { botcheck: true }],
    ['filled-too-fast', { _elapsed: '300' }],
    ['filled-too-fast', { _elapsed: 300 }],
    ['many-links', { message: links(5) }],
    ['link-markup', { message: 'Buy [url=x]y[/url]' }],
    ['link-markup', { company: '<a href="x">y</a>' }],
    ['link-in-name', { name: 'Visit www.pills.test' }],
  ] as const) {
    it(`is held for ${reason} ${JSON.stringify(changes)}, with the usual answer`, async () => {
      const accepted = await http.post('/api/messages', submission({ email: 'bob@example.test' }));
      const held = await http.post('/api/messages', submission(changes));
      expect(held.status).to.equal(accepted.status);
      expect(Object.keys(held.json)).to.deep.equal(Object.keys(accepted.json));
      const [row] = await db.query('select status, reasons from messages where id = $1', [held.json.id]);
      expect(row).to.deep.equal({ status: 'held', reasons: [reason] });
      expect(await db.emails()).to.deep.equal({
        'auto-reply queued': 1,
        'notification held': 1,
        'notification queued': 1,
      });
    });
  }

  it('is accepted if it only looks a little suspicious', async () => {
    for (const changes of [
      { message: links(4) },
      { _gotcha: '' },
      { _honey: '', 'bot-field': '', botcheck: false },
      { _elapsed: '8000' },
      { _elapsed: 'x' },
      { website: 'https://ada.test' },
    ]) {
      await db.query('truncate recent_posts');
      expect((await http.post('/api/messages', submission(changes))).status).to.equal(201);
    }
    expect(await db.query('select distinct status from messages')).to.deep.equal([{ status: 'accepted' }]);
  });

  it('is held when its sender is blocked', async () => {
    await http.post('/api/messages', submission());
    await db.query('update senders set blocked_at = now()');
    await http.post('/api/messages', submission({ email: 'Ada@example.test', message: 'Again' }));
    expect(await db.query('select status, reasons from messages order by id')).to.deep.equal([
      { status: 'accepted', reasons: [] },
      { status: 'held', reasons: ['sender-blocked'] },
    ]);
  });

  it('is held when three others sent the same long text within a day', async () => {
    const message = 'We can bring your website to the top of every search engine for only 99 dollars a month';
    const statuses: string[] = [];
    // The same person sending again is still one person.
    for (const [i, person] of ['p0', 'p1', 'p0', 'p1', 'p0', 'p2', 'p3', 'p0'].entries()) {
      await http.post(
        '/api/messages',
        submission({ email: `${person}@example.test`, message: `${message.replace('99', String(i))} ` }),
      );
      const [row] = await db.query<{ status: string }>('select status from messages order by id desc limit 1');
      statuses.push(`${person} ${row?.status}`);
    }
    expect(statuses).to.deep.equal([
      'p0 accepted',
      'p1 accepted',
      'p0 accepted',
      'p1 accepted',
      'p0 accepted',
      'p2 accepted',
      'p3 held',
      'p0 held',
    ]);
  });

  it('is compared with the newest thousand messages of the same text', async () => {
    const message = 'The very same long text that somebody sends again and again, and others had sent as well before';
    const last = async () => (await db.query('select id, status from messages order by id desc limit 1'))[0];
    for (const who of ['p1', 'p2', 'p3'])
      await http.post('/api/messages', submission({ email: `${who}@example.test`, message }));
    await past.aged(db, '1 hour');
    await db.query('truncate recent_posts');
    await http.post('/api/messages', submission({ message }));
    const first = await last();
    expect(first?.status).to.equal('held');

    await db.query(
      `insert into messages select (m).* from (select jsonb_populate_record(messages, jsonb_build_object(
         'id', gen_random_uuid(), 'receipt', 'RW-' || lpad(n::text, 10, '0'))) as m
       from messages, generate_series(1, 1000) as n where id = $1) as copies`,
      [first?.id],
    );
    const again = await http.post('/api/messages', submission({ message }), { 'Idempotency-Key': 'again' });
    expect(await db.query('select status from messages where id = $1', [again.json.id])).to.deep.equal([
      { status: 'accepted' },
    ]);
  });

  it("is in one summary a day; with HELD_EXCERPT=off without the visitor's words", async () => {
    await using smtp = await startSmtpServer();
    const settings = { ...settingsWith(smtp), HELD_EXCERPT: 'off' };
    await using context = await openTestContext(db, settings);
    const held = await http.post(
      '/api/messages',
      submission({ _gotcha: 'x', name: 'Quincunx', message: 'Quincunx text' }),
    );

    await Promise.all(Array.from({ length: 4 }, () => runMaintenanceOnce(context)));
    await runMaintenanceOnce(context);
    expect((await db.emails())['held-summary queued']).to.equal(1);
    await runHere(['deliver', '--once'], db, { settings });
    const [mail] = await Promise.all((await smtp.received(1)).map((it) => it.parsed()));
    expect(mail?.to?.[0]?.address).to.equal('owner@site.test');
    expect(mail?.subject).to.equal('1 held message at localhost:3000');
    expect(mail?.text)
      .to.include(held.json.receipt)
      .and.include('Held: a hidden field was filled in')
      .and.include(`messages release ${held.json.receipt}`)
      .and.not.include('Deliver this one');
    expect(`${mail?.text}${mail?.html}`).to.not.match(/quincunx|ada@example|\/release|14 days/i);

    await past.tasksRan(db, '1 day');
    await past.aged(db, '2 days');
    await runMaintenanceOnce(context);
    expect((await db.emails())['held-summary queued'], 'nothing was held today').to.equal(undefined);
  });

  it('held by hand is in the next summary, however long ago it came', async () => {
    await using smtp = await startSmtpServer();
    const settings = settingsWith(smtp);
    await using context = await openTestContext(db, settings);
    const first = await http.post('/api/messages', submission({ _gotcha: 'x' }));
    const second = await http.post('/api/messages', submission({ message: 'Looked well' }));
    await past.aged(db, '3 days');
    await db.query(`update messages set held_at = now() where id = $1`, [first.json.id]);
    await runMaintenanceOnce(context);
    await db.query(`update emails set created_at = now() - interval '1 day' where kind = 'held-summary'`);
    await db.query(`update emails set state = 'cancelled' where kind = 'held-summary'`);
    await db.query(`update messages set held_at = null where id = $1`, [first.json.id]);
    await past.tasksRan(db, '1 day');
    await runHere(['messages', 'hold', second.json.receipt], db);
    await runMaintenanceOnce(context);
    await runHere(['deliver', '--once'], db, { settings });
    const summaries = (await Promise.all(smtp.messages.map((it) => it.parsed()))).filter((it) =>
      it.subject?.includes('held message'),
    );
    expect(summaries.map((it) => it.subject)).to.deep.equal(['1 held message at localhost:3000']);
    expect(summaries[0]?.text).to.include(second.json.receipt).and.not.include(first.json.receipt);
  });

  it('is in no summary after its release; an empty summary is cancelled', async () => {
    await using smtp = await startSmtpServer();
    const settings = settingsWith(smtp);
    await using context = await openTestContext(db, settings);
    const [first, second] = [
      await http.post('/api/messages', submission({ _gotcha: 'x' })),
      await http.post('/api/messages', submission({ _gotcha: 'x', message: 'Another' })),
    ];
    await runMaintenanceOnce(context);
    const subjects = async () => (await Promise.all(smtp.messages.map((it) => it.parsed()))).map((it) => it.subject);
    await runHere(['messages', 'release', first.json.receipt], db);
    smtp.answer('mail', '450 4.3.0 not now', { times: 2 });
    await runHere(['deliver', '--once'], db, { settings });
    expect(await db.emails(), 'one is held').to.include({ 'held-summary queued': 1 });
    await runHere(['messages', 'release', second.json.receipt], db);
    await db.query(`update emails set due_at = now() where state = 'queued'`);
    await runHere(['deliver', '--once'], db, { settings });

    const sent = await subjects();
    expect(sent).to.have.lengthOf(2);
    for (const subject of sent) expect(subject).to.match(/^New message/);
    expect(await db.emails()).to.deep.equal({ 'held-summary cancelled': 1, 'notification sent': 2 });
    const [{ id } = { id: '' }] = await db.query<{ id: string }>(`select id from emails where kind = 'held-summary'`);
    expect((await runHere(['emails', 'show', id], db)).stdout).to.include('nothing-held: the messages that it would');
  });

  it('is in a resent copy of a summary, as in the summary itself', async () => {
    await using smtp = await startSmtpServer();
    const settings = settingsWith(smtp);
    await using context = await openTestContext(db, settings);
    const held = await http.post('/api/messages', submission({ _gotcha: 'x' }));
    await runMaintenanceOnce(context);
    await runHere(['deliver', '--once'], db, { settings });
    await past.aged(db, '2 days');
    await past.agedEmails(db, '1 day');
    // A copy, and a copy of the copy.
    let [{ id } = { id: '' }] = await db.query<{ id: string }>(`select id from emails where kind = 'held-summary'`);
    for (const count of [2, 3]) {
      const resent = await runHere(['emails', 'resend', id, '--again', '--json'], db);
      id = JSON.parse(resent.stdout).items[0].newId;
      const shown = await runHere(['emails', 'show', id, '--mail'], db, { settings });
      expect(shown.stdout).to.include(held.json.receipt);
      await runHere(['deliver', '--once'], db, { settings });
      expect(await db.emails()).to.include({ 'held-summary sent': count });
    }
    const mails = await Promise.all(smtp.messages.map((it) => it.parsed()));
    expect(new Set(mails.map((it) => it.subject))).to.deep.equal(new Set(['1 held message at localhost:3000']));
    for (const { text } of mails) expect(text).to.include(held.json.receipt);
  });

  it('is in the next summary, however late that comes', async () => {
    await using smtp = await startSmtpServer();
    const settings = settingsWith(smtp);
    await using context = await openTestContext(db, settings);
    await http.post('/api/messages', submission({ _gotcha: 'x' }));
    await runMaintenanceOnce(context);
    const late = await http.post('/api/messages', submission({ _gotcha: 'x', message: 'Later' }));
    // The first summary was two days ago; the second message came soon after it, and no server has run since.
    await db.query(
      `update emails set created_at = created_at - interval '2 days', state = 'cancelled' where kind = 'held-summary'`,
    );
    await past.tasksRan(db, '2 days');
    await db.query(`update messages set received_at = received_at - interval '3 days' where id <> $1`, [late.json.id]);
    await past.aged(db, '47 hours', late.json.id);

    await runMaintenanceOnce(context);
    await runHere(['deliver', '--once'], db, { settings });
    const [mail] = await Promise.all((await smtp.received(1)).map((it) => it.parsed()));
    expect(mail?.subject).to.equal('1 held message at localhost:3000');
    expect(mail?.text).to.include(late.json.receipt);
  });

  describe('in the summary', () => {
    const withUrl = { NOTIFY_TO: 'owner@site.test', PUBLIC_URL: 'https://forms.site.test/contact' };

    /** Queues a summary and shows it as `emails show --mail` does. */
    async function summary(settings: Record<string, string> = withUrl, ...more: string[]) {
      await using context = await openTestContext(db, settings);
      await runMaintenanceOnce(context);
      const [{ id } = { id: '' }] = await db.query<{ id: string }>(
        `select id from emails where kind = 'held-summary' order by id desc limit 1`,
      );
      const shown = await runHere(['emails', 'show', id, '--mail', '--json', ...more], db, { settings });
      const { text, html } = JSON.parse(shown.stdout).mail as { text: string; html: string };
      return { id, text, html, tokens: [...text.matchAll(/\/release\?token=(\S+)/g)].map((it) => it[1] ?? '') };
    }
    const hold = async (changes: Record<string, unknown> = {}) =>
      (await http.post('/api/messages', submission({ _gotcha: 'x', ...changes }))).json as {
        id: string;
        receipt: string;
      };
    const open = (token: string, method = 'GET') =>
      http.send(`/release?token=${token}`, { method, headers: { Accept: browserAccept, Origin: 'null' } });
    const headingOf = (answer: Answer) => [answer.status, /<h1>(.*)<\/h1>/.exec(answer.text)?.[1]];
    const statusOf = async (id: string) =>
      (await db.query<{ status: string }>('select status from messages where id = $1', [id]))[0]?.status;

    it('shows the other fields of a message without a text', async () => {
      await db.query(`update forms set fields = '"any"'`);
      try {
        await hold({ email: undefined, name: undefined, message: undefined, event: 'Party', seats: '2' });
        expect((await summary()).text).to.include('\n  "Party, 2"\nHeld: ');
      } finally {
        await db.query('update forms set fields = null');
      }
    });

    it('is shown with name, address, 80 characters and the reason, and no links', async () => {
      const message = `See https://pills.test/buy or www.pills.test,\nCafe\u0301.example ${'x'.repeat(80)}`;
      const { receipt } = await hold({ name: 'Ada www.evil.test', message });
      const { text, html } = await summary();
      expect(text).to.include('Ada www[.]evil[.]test ‹ada@example.test›');
      expect(text).to.match(/"See pills\[\.\]test\/buy or www\[\.\]pills\[\.\]test, Cafe\u0301\[\.\]example x{20}…"/);
      expect(text).to.include('Held: a hidden field was filled in, a link as a name').and.include(receipt);
      for (const part of [text, html]) {
        expect(part.replaceAll(/https:\/\/forms\.site\.test\S*/g, '')).to.not.match(
          /https?:|www\.|pills\.|evil\.|\.example\b(?!\.test)/,
        );
      }
      expect(html.match(/href="[^"]*"/g)?.every((it) => it.startsWith('href="https://forms.site.test/'))).to.equal(
        true,
      );
      const masked = await summary(withUrl, '--mask');
      for (const part of [masked.text, masked.html]) expect(part).to.not.match(/\bAda\b|evil|ada@|token=[^*]/);
    });

    it('comes first with few and weak reasons, then if it is new', async () => {
      const strong = await hold({ name: 'Strong' });
      const many = await hold({ message: links(5), name: 'www.many.test' });
      const weak = await hold({ _gotcha: '', message: links(5) });
      const newer = await hold({ _gotcha: '', message: links(6) });
      const later = await hold({ message: 'Of a later release' });
      await db.query(`update messages set reasons = '{not-scanned}' where id = $1`, [later.id]);
      const { text } = await summary();
      expect(text.match(/RW-\w+(?=, contact)/g)).to.deep.equal(
        [newer, weak, strong, later, many].map((it) => it.receipt),
      );
      expect(text).to.include('Held: not-scanned');
    });

    it('is listed if it cannot be decrypted, and does not keep back the others', async () => {
      const [broken, whole] = [await hold(), await hold({ message: 'Quite readable' })];
      await db.query(`update messages set content = content || 'x'::bytea where id = $1`, [broken.id]);
      const { text, tokens } = await summary();
      expect(text).to.include('(cannot be decrypted)').and.include('Quite readable');
      expect(text).to.include(broken.receipt).and.include(whole.receipt);
      expect(tokens).to.have.lengthOf(2);
    });

    it('is delivered by its link: by one POST, and never by GET or HEAD', async () => {
      const { id, receipt } = await hold();
      const { tokens, html } = await summary();
      const [token = ''] = tokens;
      expect(html).to.include(`href="https://forms.site.test/contact/release?token=${token}"`);
      for (const method of ['GET', 'HEAD', 'GET']) {
        const answer = await open(token, method);
        expect(answer.status, method).to.equal(200);
        expect(answer.headers.get('referrer-policy')).to.equal('no-referrer');
        expect(answer.headers.get('cache-control')).to.equal('no-store');
        expect(answer.headers.get('content-security-policy')).to.include("form-action 'self'");
        if (method === 'GET') {
          expect(answer.text).to.include(`action="/release?token=${token}"`).and.include(receipt);
          expect(answer.text).to.include('a hidden field was filled in').and.not.include('Ada');
          // Somebody may have held it by hand.
          expect(answer.text).to.not.include('spam');
        }
      }
      expect(await statusOf(id)).to.equal('held');
      const both = await Promise.all([open(token, 'POST'), open(token, 'POST')]);
      expect(both.map(headingOf)).to.have.deep.members([
        [200, 'Delivered'],
        [200, 'Already delivered'],
      ]);
      expect(await statusOf(id)).to.equal('accepted');
      expect(await db.emails()).to.include({ 'notification queued': 1 });
      for (const method of ['GET', 'POST']) {
        const late = await open(token, method);
        expect(headingOf(late)).to.deep.equal([200, 'Already delivered']);
        expect(late.text).to.not.include(token);
      }
      expect(api.server.log, 'the log names the route')
        .to.include('"route":"/release"')
        .and.not.include(token.slice(0, 40));
    });

    it('is not delivered by a link that is forged, over or for something else', async () => {
      await using context = await openTestContext(db, withUrl);
      const { keyring } = context;
      const { id, receipt } = await hold();
      const [{ since } = { since: '' }] = await db.query<{ since: string }>(
        'select received_at as since from messages',
      );
      const link = { message: id, heldSince: new Date(since).getTime(), endsAt: Date.now() + 60_000 };
      const good = signReleaseLink(keyring, link);
      const [about = '', signed = ''] = good.split('.');
      const other = Buffer.from(`${randomUUID()} 0 9999999999999`).toString('base64url');
      const incomplete: [number, string] = [400, 'This link is incomplete'];
      for (const [token, answer] of [
        ['', incomplete],
        ['x', incomplete],
        [about, incomplete],
        [`${about}.`, incomplete],
        [`${about}.${signed.slice(1)}`, incomplete],
        [`${other}.${signed}`, incomplete],
        [`${good}&token=${good}`, incomplete],
        [encodeURIComponent(`${good}"><script>`), incomplete],
        [signLink(keyring, 'unsubscribe', Buffer.from(about, 'base64url')), incomplete],
        [signReleaseLink(keyring, { ...link, endsAt: Date.now() - 1 }), [410, 'This link is over']],
        [signReleaseLink(keyring, { ...link, heldSince: 0 }), [410, 'This link is over']],
        [signReleaseLink(keyring, { ...link, message: randomUUID() }), [410, 'This link is over']],
      ] as const) {
        for (const method of ['GET', 'POST']) expect(headingOf(await open(token, method)), token).to.deep.equal(answer);
      }
      expect(await statusOf(id)).to.equal('held');

      await runHere(['messages', 'release', id], db);
      await db.query(`update emails set state = 'sent'`);
      await runHere(['messages', 'hold', id], db);
      expect(headingOf(await open(good, 'POST'))).to.deep.equal([410, 'This link is over']);
      expect(await statusOf(id)).to.equal('held');
      await runHere(['messages', 'delete', receipt, '--yes'], db);
      expect(headingOf(await open(good, 'POST'))).to.deep.equal([410, 'This link is over']);
    });

    it('keeps its link for 14 days from the Date of the mail, also in a resent copy', async () => {
      await using context = await openTestContext(db, withUrl);
      await hold();
      const first = await summary();
      await db.query(`update emails set state = 'sent', sent_at = now() where kind = 'held-summary'`);
      await past.agedEmails(db, '14 days');
      const endsIn = async () => {
        const [row] = await db.query<{ at: string }>(
          `select max(created_at) as at from emails where kind = 'held-summary'`,
        );
        return new Date(row?.at ?? '').getTime() + 14 * 24 * 60 * 60_000;
      };
      const { text } = await summary();
      const [token = ''] = /(?<=token=)\S+/.exec(text) ?? [];
      expect(readReleaseLink(context.keyring, token)?.endsAt).to.equal(await endsIn());
      expect(headingOf(await open(token, 'POST'))).to.deep.equal([410, 'This link is over']);
      await runHere(['emails', 'resend', first.id, '--again'], db);
      const copy = await summary();
      expect(copy.id).to.not.equal(first.id);
      expect(readReleaseLink(context.keyring, copy.tokens[0] ?? '')?.endsAt).to.equal(await endsIn());
      expect(headingOf(await open(copy.tokens[0] ?? '', 'POST'))).to.deep.equal([200, 'Delivered']);
    });
  });
});
