import { expect } from 'chai';
import { runHere } from '../cli/terminal.ts';
import { clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { RunningServer, ruffinweb, type Settings } from '../support/program.ts';
import { type ServerHere, startServerHere } from '../support/server-here.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

interface EmailRow {
  id: string;
  kind: string;
  state: string;
  tries: number;
  failure: string | null;
  wait_seconds: number;
  sent_at: Date | null;
  lease_token: string | null;
}

describe('delivery', () => {
  let db: TestDatabase;
  let smtp: SmtpServer;
  let settings: Settings;
  /** A server that leaves delivering to others. */
  let quiet: ServerHere;

  before(async () => {
    db = await createDatabase();
    await db.liftHourlyLimits();
    smtp = await startSmtpServer({ auth: { user: 'site', password: 'p4ssword' } });
    settings = {
      DATABASE_URL: db.url,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      SMTP_USER: 'site',
      SMTP_PASSWORD: 'p4ssword',
      MAIL_FROM: 'Site <site@site.test>',
      NOTIFY_TO: 'owner@site.test',
    };
    quiet = await startServerHere(settings);
  });
  after(async () => {
    await quiet[Symbol.asyncDispose]();
    await smtp[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    smtp.reset();
    await db.empty();
  });

  async function emails(): Promise<EmailRow[]> {
    return await db.query<EmailRow>(
      `select id, kind, state, tries, failure, sent_at, lease_token,
         extract(epoch from due_at - now())::float8 as wait_seconds
       from emails order by kind`,
    );
  }

  async function attempts(): Promise<{ kind: string; outcome: string; code: number | null }[]> {
    return await db.query(
      `select kind, outcome, code from attempts join emails on emails.id = email_id order by kind, outcome = 'accepted'`,
    );
  }

  async function post(server: { url: string }, changes: Record<string, unknown> = {}): Promise<{ receipt: string }> {
    const answer = await clientOf(server.url).post('/api/messages', submission(changes));
    expect(answer.status).to.equal(201);
    return answer.json;
  }

  const deliverOnce = (changes: Settings = {}) =>
    runHere(['deliver', '--once'], db, { settings: { ...settings, ...changes } });

  it('(250) sends and records a notification and an auto-reply', async () => {
    await using server = await RunningServer.start(settings);
    const { receipt } = await post(server, { name: 'Ada Canary', message: 'Canary text' });

    const mails = await Promise.all((await smtp.received(2)).map(async (it) => ({ ...it, mail: await it.parsed() })));
    const notice = mails.find((it) => it.to[0] === 'owner@site.test')?.mail;
    const reply = mails.find((it) => it.to[0] === 'ada@example.test')?.mail;

    expect(notice?.from).to.deep.include({ name: 'Site', address: 'site@site.test' });
    expect(notice?.replyTo?.[0]).to.deep.include({ address: 'ada@example.test' });
    expect(notice?.text).to.include('Canary text').and.include(receipt);
    expect(reply?.replyTo?.[0]).to.deep.include({ address: 'owner@site.test' });
    expect(`${reply?.subject}${reply?.text}${reply?.html}`)
      .to.include(receipt)
      .and.not.match(/Canary|Ada/);
    await until('both are settled', async () => (await emails()).every((it) => it.state === 'sent'));
    for (const row of await emails())
      expect(row)
        .to.include({ tries: 1, failure: null, lease_token: null })
        .and.have.property('sent_at')
        .that.is.a('date');
    expect(await attempts()).to.deep.equal([
      { kind: 'auto-reply', outcome: 'accepted', code: 250 },
      { kind: 'notification', outcome: 'accepted', code: 250 },
    ]);
    expect(server.log)
      .to.include(receipt)
      .and.not.match(/ada@example|Canary|owner@site/);
  });

  it("writes mail in a form's language, words and labels", async () => {
    const hostile = 'CANARY {receipt} {{ receipt }} {sender}\r\nBcc: x@evil.test, https://evil.test';
    // A link as a name would be held.
    const line = hostile.replace(/\r\n|, https.*/g, ' ').trim();
    await runHere(['forms', 'add', 'feier', '--name', 'Sommerfest', '--language', 'de'], db);
    const fields = [
      { name: 'email', type: 'email', label: { de: 'Für Rückfragen' } },
      { name: 'message', type: 'text' },
      { name: 'coming', type: 'checkbox', label: { en: 'Coming', de: 'Ich komme' } },
      { name: 'meal', type: 'text', label: 'Essen' },
    ];
    const words = {
      autoReplySubject: { de: 'Bis bald bei {form},\r\nBcc: y@evil.test {receipt} {sender}', en: 'no' },
      autoReplyText: 'Nummer {receipt}, {form}, {site}.\n\n<b>Weg</b>: https://site.test/weg',
      notificationSubject: '{sender} kommt zu {form} {receipt}',
    };
    await db.query('update forms set fields = $1, words = $2 where slug = $3', [
      ...[JSON.stringify(fields), JSON.stringify(words), 'feier'],
    ]);
    const values = {
      name: line,
      subject: line,
      message: hostile,
      coming: 'yes',
      meal: hostile,
      '<i>evil.test': hostile,
    };
    const answer = await clientOf(quiet.url).post('/api/forms/feier/messages', submission(values));
    expect(answer.status, answer.text).to.equal(201);
    await deliverOnce();

    const mails = await Promise.all(smtp.messages.map(async (it) => ({ to: it.to[0], mail: await it.parsed() })));
    const notice = mails.find((it) => it.to === 'owner@site.test')?.mail;
    const reply = mails.find((it) => it.to === 'ada@example.test')?.mail;
    const { receipt } = answer.json;
    expect(reply?.subject).to.equal(`Bis bald bei Sommerfest, Bcc: y@evil.test ${receipt} {sender}`);
    expect(reply?.text).to.include(`Vielen Dank für Ihre Nachricht\n\nNummer ${receipt}, Sommerfest, Site.\n\n<b>Weg`);
    expect(reply?.text)
      .to.include(`Ihre Vorgangsnummer: ${receipt}`)
      .and.match(/automatisch[\s\S]*\/unsubscribe\?token=/);
    // The operator's own address becomes a link in mail programs, but their text is no markup.
    expect(reply?.html).to.include('<html lang="de"').and.include('&lt;b&gt;Weg&lt;/b&gt;: https://site.test/weg');
    for (const it of mails) expect(it.mail.headers.map((header) => header.key)).to.not.include('bcc');
    expect(JSON.stringify(reply)).to.not.match(/CANARY|evil\.test(?! RW)|Essen|Rückfragen/);
    expect(notice?.subject).to.match(
      /^CANARY \{receipt\} \{\{ receipt \}\} \{sender\} Bcc: .* kommt zu Sommerfest RW-\S+$/,
    );
    expect(notice?.text)
      .to.match(/hat Ihnen geschrieben\n\nName: {12}CANARY/)
      .and.match(/Für Rückfragen: +ada@example\.test\nFormular: +Sommerfest\nEingang: +\d+\. \p{L}+ \d{4} um /u)
      .and.include('\nIch komme: ja\nEssen: CANARY');
    expect(notice?.html).to.include('>Nachricht</p>').and.include('<bdi>&lt;i&gt;evil<span>.</span>test</bdi>');
  });

  it("notifies a form's own recipients; the first gets replies", async () => {
    const owners = ['shop@shop.test', 'second@shop.test'];
    await runHere(['forms', 'add', 'shop', '--name', 'The <shop>', '--to', ...owners], db);
    await runHere(['forms', 'add', 'plain'], db);
    for (const slug of ['shop', 'plain']) {
      const form = submission({ email: `visitor@${slug}.example.test` });
      expect((await clientOf(quiet.url).post(`/api/forms/${slug}/messages`, form)).status).to.equal(201);
    }
    const shown = new Map<string, string[]>();
    for (const { id } of await emails()) {
      const { stdout } = await runHere(['emails', 'show', id, '--mail', '--json'], db, { settings });
      const { headers, text } = JSON.parse(stdout).mail as { headers: [string, string][]; text: string };
      const header = new Map(headers);
      shown.set(header.get('To') ?? '', [header.get('Reply-To') ?? '', text]);
    }

    await deliverOnce();
    const sent = new Map<string, string[]>();
    for (const it of smtp.messages) {
      const { replyTo, text, from } = await it.parsed();
      expect(from, 'the environment, for every form').to.deep.include({ name: 'Site', address: 'site@site.test' });
      sent.set(it.to[0] ?? '', [replyTo?.[0]?.address ?? '', text ?? '']);
    }
    expect([...sent.keys()]).to.have.members([
      ...[...owners, 'visitor@shop.example.test'],
      ...['owner@site.test', 'visitor@plain.example.test'],
    ]);
    for (const mails of [shown, sent]) {
      expect(mails.get('visitor@shop.example.test')?.[0]).to.equal('shop@shop.test');
      expect(mails.get('visitor@plain.example.test')?.[0]).to.equal('owner@site.test');
      expect(mails.get('second@shop.test')?.[1]).to.match(/^Form: +The <shop>$/m);
      expect(mails.get('owner@site.test')?.[1]).to.match(/^Form: +plain$/m);
    }
  });

  it('(450) queues the email for later, then sends the same mail', async () => {
    await post(quiet);
    smtp.answer('rcpt', '450 4.2.0 greylisted', { to: 'owner', times: 1 });

    await deliverOnce();
    const [, notice] = await emails();
    expect(notice).to.include({ kind: 'notification', state: 'queued', tries: 1, lease_token: null });
    expect(notice?.wait_seconds).to.be.within(45, 75);

    await db.makeAllDue();
    const done = await deliverOnce();
    expect(done.code).to.equal(0);
    expect((await emails())[1]).to.include({ state: 'sent', tries: 2 });
    expect((await attempts()).slice(1)).to.deep.equal([
      { kind: 'notification', outcome: 'later', code: 450 },
      { kind: 'notification', outcome: 'accepted', code: 250 },
    ]);
  });

  it('(550) fails the email with its reason, and no other', async () => {
    await post(quiet);
    smtp.answer('rcpt', '550 5.1.1 no such user', { to: 'owner' });

    await deliverOnce();
    expect((await emails()).map((it) => [it.kind, it.state, it.failure])).to.deep.equal([
      ['auto-reply', 'sent', null],
      ['notification', 'failed', 'refused'],
    ]);
    const id = (await emails())[1]?.id ?? '';
    const shown = await runHere(['emails', 'show', id], db);
    expect(shown.stdout).to.include('refused').and.include('550').and.include('no such user');
  });

  it('fails the email after the ninth attempt, and keeps it', async () => {
    await post(quiet);
    smtp.answer('rcpt', '451 4.3.0 not now');
    await past.onLastTry(db);

    await deliverOnce();
    expect((await emails()).map((it) => [it.state, it.failure, it.tries])).to.deep.equal([
      ['failed', 'schedule-ended', 9],
      ['failed', 'schedule-ended', 9],
    ]);
  });

  it('(535) counts no attempt for a wrong login, and logs an error', async () => {
    await post(quiet);
    const done = await ruffinweb(['deliver', '--once'], { ...settings, SMTP_PASSWORD: 'wrong' });

    for (const row of await emails()) {
      expect(row).to.include({ state: 'queued', tries: 0 });
    }
    expect(done.stderr).to.include('"level":"error"').and.include('does not let us in');
    expect(smtp.messages).to.have.lengthOf(0);
  });

  it('(lost after the final dot) resends only the notification', async () => {
    await post(quiet);
    smtp.answer('dot', 'drop', { times: 2 });

    await deliverOnce();
    expect((await emails()).map((it) => [it.state, it.failure])).to.deep.equal([
      ['failed', 'outcome-unknown'],
      ['queued', null],
    ]);
    await db.makeAllDue();
    await deliverOnce();
    expect((await emails()).map((it) => it.state)).to.deep.equal(['failed', 'sent']);
    const copies = smtp.attempts.filter((it) => it.to[0] === 'owner@site.test').map((it) => it.raw);
    expect(copies).to.have.lengthOf(2);
    expect(copies[0], 'a second copy is the same mail, so that receivers can drop it').to.equal(copies[1]);
  });

  it('(kill -9 after the final dot) resends only the notification', async () => {
    smtp.answer('dot', 'hold', { times: 2 });
    const server = await RunningServer.start(settings);
    await post(server);
    const held = [await smtp.heldAfterDot(), await smtp.heldAfterDot()];
    await server.stop('SIGKILL');
    for (const row of await emails()) {
      expect(row).to.include({ state: 'queued', tries: 1 });
      expect(row.lease_token).to.be.a('string');
      expect(row.wait_seconds, 'the lease').to.be.within(60, 90);
    }
    for (const it of held) it.release('drop');

    await using next = await RunningServer.start(settings);
    expect(
      (await emails()).map((it) => it.state),
      'nobody touches it while the lease lasts',
    ).to.deep.equal(['queued', 'queued']);
    await db.makeAllDue();
    await until('the next start has delivered', async () => (await emails())[1]?.state === 'sent');
    expect((await emails())[0]).to.include({ kind: 'auto-reply', state: 'failed', failure: 'outcome-unknown' });
    expect(await attempts()).to.deep.equal([
      { kind: 'auto-reply', outcome: 'unknown', code: null },
      { kind: 'notification', outcome: 'unknown', code: null },
      { kind: 'notification', outcome: 'accepted', code: 250 },
    ]);
    expect(next.log).to.include('nobody knows whether it was sent');
  });

  it('(SIGTERM after the final dot) waits for the reply', async () => {
    smtp.answer('dot', 'hold', { to: 'owner', times: 1 });
    const server = await RunningServer.start(settings);
    await post(server);
    const held = await smtp.heldAfterDot();
    await until('the other one is sent', async () => (await emails())[0]?.state === 'sent');
    const stopped = server.stop('SIGTERM');
    await until(
      'the server wants no more',
      async () => (await fetch(`${server.url}/livez`).catch(() => undefined)) === undefined,
    );
    held.release();
    expect(await stopped).to.deep.equal({ code: 0, signal: null });
    expect((await emails()).map((it) => it.state)).to.deep.equal(['sent', 'sent']);
    expect(smtp.messages).to.have.lengthOf(2);
  });

  it('(two workers at once) sends each of forty emails once', async () => {
    // Few at a time: one statement allows one client network ten auto-replies.
    for (let i = 0; i < 20; i += 5) {
      await Promise.all([0, 1, 2, 3, 4].map((n) => post(quiet, { email: `p${i + n}@example.test` })));
    }
    await Promise.all([ruffinweb(['deliver', '--once'], settings), ruffinweb(['deliver', '--once'], settings)]);
    expect(await db.emails()).to.deep.equal({ 'auto-reply sent': 20, 'notification sent': 20 });
    expect(new Set(smtp.messages.map((it) => it.raw))).to.have.lengthOf(40);
    expect(smtp.messages).to.have.lengthOf(40);
  });

  it('(another process) gets new mail at once, even after a reconnect', async () => {
    await using worker = await RunningServer.startWorker(settings);
    const listening = () =>
      db.query<{ pid: number }>(
        `select pid from pg_stat_activity where datname = $1 and application_name like 'ruffinweb listener%'`,
        [db.name],
      );
    const [first] = await until('the worker listens', async () => {
      const rows = await listening();
      return rows.length === 1 && rows;
    });
    await post(quiet);
    await smtp.received(2, 4000);

    await db.query('select pg_terminate_backend($1)', [first?.pid]);
    await until('it listens again', async () => {
      const [row] = await listening();
      return row !== undefined && row.pid !== first?.pid;
    });
    await post(quiet, { email: 'bob@example.test' });
    await smtp.received(4, 4000);
    expect((await worker.stop()).code).to.equal(0);
  });

  it('(no signal) finds due mail by polling', async () => {
    await post(quiet);
    await past.dueIn(db, '2 seconds');
    await using worker = await RunningServer.startWorker(settings);
    await smtp.received(2);
    await worker.stop();
  });

  it('delivers the other mail if one cannot be composed', async () => {
    await post(quiet);
    await post(quiet, { email: 'bob@example.test' });
    await db.query(
      `update messages set content = 'broken'::bytea where id = (select min(id::text)::uuid from messages)`,
    );
    await deliverOnce();
    expect(await db.emails()).to.deep.equal({ 'auto-reply sent': 2, 'notification queued': 1, 'notification sent': 1 });
  });

  it('opens no more connections than SMTP_CONNECTIONS says', async () => {
    for (let index = 0; index < 4; index += 1) await post(quiet, { email: `v${index}@example.test` });
    smtp.answer('dot', 'hold', { times: 3 });
    const delivering = deliverOnce({ SMTP_CONNECTIONS: '3' });
    const held = [await smtp.heldAfterDot(), await smtp.heldAfterDot(), await smtp.heldAfterDot()];
    expect(smtp.connections.open).to.equal(3);
    for (const one of held) one.release();
    await delivering;
    expect(await db.emails()).to.deep.equal({ 'auto-reply sent': 4, 'notification sent': 4 });
    expect(new Set(smtp.messages.map((it) => it.connection))).to.have.lengthOf(3);
  });
});
