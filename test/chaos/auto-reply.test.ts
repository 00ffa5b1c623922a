import { expect } from 'chai';
import { openIntake } from '../../src/services/intake/intake.ts';
import { submitMessage } from '../../src/services/intake/submit-message.ts';
import { openScope } from '../../src/services/scope.ts';
import { runHere } from '../cli/terminal.ts';
import { browserAccept, clientOf, submission } from '../support/api.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer, ruffinweb, type Settings } from '../support/program.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';

describe('auto-reply', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let settings: Settings;

  before(async () => {
    db = await createDatabase();
    await db.liftHourlyLimits();
    smtp = await startSmtpServer();
    settings = {
      DATABASE_URL: db.url,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'Site <site@site.test>',
      NOTIFY_TO: 'owner@site.test',
      PUBLIC_URL: 'https://forms.site.test/contact',
    };
  });
  after(async () => {
    await smtp[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    smtp.reset();
    await db.empty();
  });

  const post = async (changes: Record<string, unknown> = {}) => {
    await using context = await openTestContext(db, settings);
    await buildMessages(context, 1, () => changes);
  };
  const deliver = () => ruffinweb(['deliver', '--once'], settings);
  const repliesTo = (address: string) => smtp.messages.filter((it) => it.to[0] === address);
  const laterTheNextDay = () => db.query('truncate reply_days, recent_posts');

  it('is sent once for a thousand posts with one victim’s address', async () => {
    await using context = await openTestContext(db, settings);
    const spellings = ['victim@gmail.com', 'Victim@Gmail.com', 'v.i.c.t.i.m@gmail.com', 'victim+x@googlemail.com'];
    const posts = Array.from({ length: 1000 }, (_, i) => i);
    // Eight at a time, as visitors would reach a server.
    await using intake = openIntake(context);
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let i = posts.pop(); i !== undefined; i = posts.pop()) {
          await submitMessage(openScope(context), intake, {
            formSlug: 'contact',
            values: new Map(Object.entries(submission({ email: spellings[i % 4], message: `No ${i}` }))),
            clientAddress: `198.51.${i >> 8}.${i & 255}`,
            idempotencyKey: undefined,
          });
        }
      }),
    );
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1000 });
    await db.query(`delete from emails where kind = 'notification'`);
    await deliver();
    expect(smtp.messages).to.have.lengthOf(1);
  }).timeout(180_000);

  it('stops after two mails when two servers answer each other', async () => {
    await using other = await createDatabase();
    const sites = [
      { db, from: 'site@one.test' },
      { db: other, from: 'site@two.test' },
    ].map(({ db: own, from }) => ({
      db: own,
      settings: { ...settings, DATABASE_URL: own.url, MAIL_FROM: from, NOTIFY_TO: from },
    }));
    // Each mail that one server sends comes back to the other as a post from the sender's address, with its full text.
    await using first = await openTestContext(sites[0]?.db as TestDatabase, sites[0]?.settings);
    await using second = await openTestContext(other, sites[1]?.settings);
    await buildMessages(first, 1, () => ({ email: 'site@two.test' }));
    for (let round = 0; round < 4; round++) {
      const seen = smtp.messages.length;
      for (const site of sites) await ruffinweb(['deliver', '--once'], site.settings);
      for (const mail of smtp.messages.slice(seen)) {
        const [context, back] = mail.to[0] === 'site@two.test' ? [second, 'site@one.test'] : [first, 'site@two.test'];
        if (mail.from === mail.to[0]) continue;
        await buildMessages(context, 1, () => ({ email: back, message: `${round} ${mail.raw.slice(0, 5000)}` }));
      }
    }
    const between = smtp.messages.filter((it) => it.from !== it.to[0]);
    expect(between.map((it) => `${it.from} ${it.to[0]}`)).to.deep.equal([
      'site@one.test site@two.test',
      'site@two.test site@one.test',
    ]);
    for (const mail of between) {
      const headers = new Map((await mail.parsed()).headers.map((it) => [it.key, it.value]));
      expect(headers.get('auto-submitted')).to.equal('auto-replied');
      expect(headers.get('x-auto-response-suppress')).to.equal('All');
    }
  });

  it('contains nothing that a visitor typed in any field', async () => {
    const canary = 'Quincunx';
    await using context = await openTestContext(db, settings);
    await buildMessages(context, 5, (i) => ({
      name: `${canary} https://quincunx.test`,
      subject: `${canary} subject {{ receipt }}`,
      message: `${canary} <b>text</b> ${i}\r\nBcc: quincunx@evil.test`,
      company: canary,
      [`${canary}-field`]: canary,
      _subject: canary,
      _replyto: 'quincunx@evil.test',
      // Held messages get none.
      ...(i > 2 && { name: 'Quincunx' }),
    }));
    await deliver();
    const replies = smtp.messages.filter((it) => it.to[0] !== 'owner@site.test');
    expect(replies).to.have.lengthOf(2);
    for (const reply of replies) {
      const { text, html, subject, headers } = await reply.parsed();
      const all = [reply.raw, reply.from, ...reply.to, text, html, subject, JSON.stringify(headers)].join('\n');
      expect(all).to.not.match(/quincunx|evil\.test/i);
    }
    const withoutIds = async (reply: (typeof replies)[number] | undefined) => {
      const { subject, text, html } = (await reply?.parsed()) ?? {};
      return `${subject}\n${text}\n${html}`
        .replace(/RW-[0-9A-Z]{10}/g, 'RECEIPT')
        .replace(/token=[\w.-]+/g, 'TOKEN')
        .replace(/\d+ \w+ \d{4} at \d\d:\d\d UTC/g, 'TIME');
    };
    expect(await withoutIds(replies[0]), 'but for ids and times all are one').to.equal(await withoutIds(replies[1]));
  });

  describe('unsubscribing by signed link (RFC 8058)', () => {
    const linkOf = async () => {
      const [reply] = repliesTo('ada@example.test');
      const headers = new Map((await reply?.parsed())?.headers.map((it) => [it.key, it.value]));
      return { reply, headers, link: /^<(.*)>$/.exec(headers.get('list-unsubscribe') ?? '')?.[1] ?? '' };
    };

    it('opening the link changes nothing; its button unsubscribes', async () => {
      await post();
      await deliver();
      const { reply, headers, link } = await linkOf();
      expect(headers.get('list-unsubscribe-post')).to.equal('List-Unsubscribe=One-Click');
      expect(link).to.match(/^https:\/\/forms\.site\.test\/contact\/unsubscribe\?token=[\w-]{43}\.[\w-]{43}$/);
      expect((await reply?.parsed())?.text).to.include(link);

      await using server = await RunningServer.start(settings, ['serve', '--no-deliver']);
      const http = clientOf(server.url);
      const path = `/unsubscribe${new URL(link).search}`;
      const shown = await http.get(path, { Accept: browserAccept });
      expect(shown.status).to.equal(200);
      expect(shown.text.match(/<button/g)).to.have.lengthOf(1);
      expect(shown.text).to.include(`action="/contact${path}"`).and.to.not.include('ada@');
      expect(shown.headers.get('content-security-policy')).to.include("form-action 'self'");
      const list = () => db.query('select 1 from suppressions');
      expect(await list(), 'looking changes nothing').to.have.lengthOf(0);

      const clicked = await http.send(path, {
        method: 'POST',
        body: 'List-Unsubscribe=One-Click',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      });
      expect(clicked).to.include({ status: 200 });
      const pressed = await http.send(path, { method: 'POST', body: '', headers: { Accept: browserAccept } });
      expect(pressed.text).to.include('Done').and.to.not.include('<button');
      expect(await list()).to.have.lengthOf(1);
      expect(server.log).to.not.include('ada@').and.to.not.include(new URL(link).searchParams.get('token'));

      await laterTheNextDay();
      const answer = await http.post('/api/messages', submission({ email: 'ADA+again@example.test' }));
      expect(answer.status, 'the visitor is not told').to.equal(201);
      expect(await db.emails()).to.deep.equal({
        'auto-reply sent': 1,
        'notification queued': 1,
        'notification sent': 1,
      });
    });

    it('rejects a link that we did not sign', async () => {
      await post();
      await deliver();
      const token = new URL((await linkOf()).link).searchParams.get('token') ?? '';
      await using server = await RunningServer.start(settings, ['serve', '--no-deliver']);
      const http = clientOf(server.url);
      const [index = '', signature = ''] = token.split('.');
      const flipped = `${index.startsWith('A') ? 'B' : 'A'}${index.slice(1)}`;
      for (const wrong of [
        '',
        index,
        `${flipped}.${signature}`,
        `${index}.${signature.slice(1)}`,
        `${index}.`,
        '<b>',
        'x'.repeat(300),
      ]) {
        const path = `/unsubscribe?token=${encodeURIComponent(wrong)}`;
        expect((await http.get(path)).status, wrong).to.equal(400);
        expect((await http.send(path, { method: 'POST' })).status, wrong).to.equal(400);
      }
      expect(await db.query('select 1 from suppressions')).to.have.lengthOf(0);
    });

    it('cancels a queued auto-reply but sends the notification', async () => {
      await post();
      await deliver();
      const { link } = await linkOf();
      await laterTheNextDay();
      await post({ message: 'Another' });
      await using server = await RunningServer.start(settings, ['serve', '--no-deliver']);
      await clientOf(server.url).send(`/unsubscribe${new URL(link).search}`, { method: 'POST' });
      await deliver();
      expect(await db.emails()).to.deep.equal({
        'auto-reply cancelled': 1,
        'auto-reply sent': 1,
        'notification sent': 2,
      });
      expect(await db.query(`select tries, lease_token from emails where state = 'cancelled'`)).to.deep.equal([
        { tries: 0, lease_token: null },
      ]);
    });
  });

  it('goes to a blocked sender only after unblocking', async () => {
    await post();
    const blocked = await runHere(['senders', 'block', '--email', 'Ada@example.test', '--json'], db);
    expect(JSON.parse(blocked.stdout).blockedAt).to.be.a('string');
    await deliver();
    expect(await db.emails()).to.deep.equal({ 'auto-reply cancelled': 1, 'notification sent': 1 });
    await post({ message: 'Blocked now' });
    expect((await db.query(`select reasons from messages where status = 'held'`))[0]).to.deep.equal({
      reasons: ['sender-blocked'],
    });

    const [sender] = await db.query<{ id: string }>('select id from senders');
    const lifted = await runHere(['senders', 'unblock', sender?.id ?? ''], db);
    expect(lifted).to.include({ code: 0, stdout: 'ada@example.test is not blocked\n' });
    await laterTheNextDay();
    await post({ message: 'Free again' });
    await deliver();
    expect(repliesTo('ada@example.test')).to.have.lengthOf(1);
    const unknown = await runHere(['senders', 'block', '--email', 'nobody@example.test'], db);
    expect(unknown.code).to.equal(1);
    expect(unknown.stderr).to.include('nobody has written');
  });
});
