import { expect } from 'chai';
import pg from 'pg';
import { runHere } from '../cli/terminal.ts';
import { submission } from '../support/api.ts';
import * as past from '../support/past.ts';
import { type Settings, testSettings } from '../support/program.ts';
import { type Api, openApi } from '../support/server-here.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';

interface Notification {
  id: string;
  receipt: string;
  state: string;
  failure: string | null;
  recipient: string;
  digest_id: string | null;
}

describe('notifications beyond an hourly limit', () => {
  let api: Api;
  let smtp: SmtpServer;
  let settings: Settings;

  before(async () => {
    smtp = await startSmtpServer();
    settings = {
      ...{ SMTP_HOST: smtp.host, SMTP_PORT: String(smtp.port), MAIL_FROM: 'Site <site@site.test>' },
      ...{ NOTIFY_TO: 'owner@site.test', AUTO_REPLY: 'off', RETENTION_DAYS: '30', RATE_LIMIT: 'off' },
    };
    api = await openApi(settings);
  });
  after(async () => {
    await api[Symbol.asyncDispose]();
    await smtp[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    smtp.reset();
    await startOver();
  });

  async function startOver(): Promise<void> {
    await api.db.empty();
    await api.db.query('update forms set notify_limit = 2, recipients = null');
  }

  const post = async (n: number) => {
    const visitor = submission({ name: `Visitor ${n}`, email: `v${n}@example.test`, message: `Message ${n}` });
    const answer = await api.http.post('/api/messages', visitor);
    expect(answer.status).to.equal(201);
    return answer.json as { id: string; receipt: string };
  };

  /** Posts one after another, all in one hour of the clock. */
  async function postMany(count: number, prepare: () => Promise<unknown> = async () => {}) {
    for (;;) {
      await prepare();
      const posted: { id: string; receipt: string }[] = [];
      for (let n = 1; n <= count; n++) posted.push(await post(n));
      const hours = await api.db.query('select distinct hour from notify_hours');
      if (hours.length <= 1) return posted;
      await startOver();
    }
  }

  const run = async (...args: string[]) => {
    const screen = await runHere(args, api.db, { settings: { ...testSettings, ...settings } });
    expect(screen.code, screen.stderr).to.equal(0);
    return screen.stdout;
  };

  const notifications = () =>
    api.db.query<Notification>(
      `select emails.id, receipt, emails.state, failure, recipient, digest_id
       from emails join messages on messages.id = message_id where kind = 'notification' order by message_id, recipient`,
    );

  const states = async () => (await notifications()).map((it) => it.failure ?? it.state);
  const digest = async () => (await notifications()).find((it) => it.digest_id !== null && it.failure !== 'digest');

  /** Sends all mail, as at the end of the hour. @returns the text of each mail, with the order of the receipts in it. */
  async function deliver() {
    await api.db.makeAllDue();
    smtp.reset();
    await run('deliver', '--once');
    const mails = await Promise.all(smtp.messages.map((it) => it.parsed()));
    return mails.map(({ subject = '', text = '', html = '', date = '' }, index) => ({
      to: smtp.messages[index]?.to[0],
      ...{ subject, text, html, date },
      receipts: [...text.matchAll(/^RW-\S+/gm)].map(([receipt]) => receipt),
    }));
  }

  it('are cancelled for a digest, which waits until the hour ends', async () => {
    await postMany(63, async () => await api.db.query('update forms set notify_limit = null'));
    expect(await states()).to.deep.equal([...Array(61).fill('queued'), 'digest', 'digest']);
    const due = await api.db.query<{ soon: boolean; ends: boolean }>(
      `select due_at <= now() as soon, due_at = date_trunc('hour', created_at, 'UTC') + interval '1 hour' as ends
       from emails where state = 'queued' order by id`,
    );
    expect(due.map((it) => it.soon)).to.deep.equal([...Array(60).fill(true), false]);
    expect(due.at(-1)?.ends).to.equal(true);
  });

  it('are named in one mail, with name and address; the mail also shows in a command', async () => {
    const posted = await postMany(5);
    const waiting = await digest();
    const shown = await run('emails', 'show', waiting?.id ?? '', '--mail', '--mask');
    expect(shown).to.include(posted[4]?.receipt).and.not.include('Visitor').and.not.include('v4@');
    expect(await run('emails', 'show', waiting?.id ?? '')).to.include('digest of messages beyond the hourly limit');
    const mails = await deliver();
    expect(mails.filter((it) => it.receipts.length === 0)).to.have.lengthOf(2);
    const [named] = mails.filter((it) => it.receipts.length > 0);
    expect(named?.receipts).to.deep.equal(posted.slice(2).map((it) => it.receipt));
    expect(named?.subject).to.match(/^3 more messages/);
    for (const part of [named?.text, named?.html]) {
      expect(part).to.include('Visitor 3').and.include('Visitor 5').and.not.include('Visitor 2');
    }
    expect(named?.text).to.include('v4@example.test');
    expect(new Date(named?.date ?? '').getMinutes(), 'the end of the hour').to.equal(0);
    expect(await states()).to.deep.equal(['sent', 'sent', 'sent', 'digest', 'digest']);
  });

  it('name a message that cannot be decrypted by its receipt', async () => {
    const posted = await postMany(5);
    await api.db.query(`update messages set content = 'broken'::bytea where id = $1`, [posted[3]?.id]);
    const mails = await deliver();
    expect(mails.flatMap((it) => it.receipts)).to.deep.equal(posted.slice(2).map((it) => it.receipt));
    expect(mails.some((it) => it.text.includes('v5@example.test'))).to.equal(true);
  });

  it('are resent one by one', async () => {
    await postMany(4);
    const row = (await notifications()).at(-1);
    await run('emails', 'resend', row?.id ?? '', '--again');
    const texts = (await deliver()).map((it) => it.text);
    expect(texts.filter((it) => it.includes('Message 4'))).to.have.lengthOf(1);
    expect(texts.filter((it) => it.includes('2 more messages'))).to.have.lengthOf(1);
  });

  it('a digest about one message is a plain notification', async () => {
    await postMany(3);
    const mails = await deliver();
    expect(mails.map((it) => /Message \d/.exec(it.text)?.[0]).toSorted()).to.deep.equal(
      [1, 2, 3].map((n) => `Message ${n}`),
    );
  });

  const others: [what: string, change: (posted: { id: string; receipt: string }[]) => Promise<unknown>][] = [
    [
      'its first message is deleted',
      async ([, , first]) => await run('messages', 'delete', first?.receipt ?? '', '--yes'),
    ],
    ['its first message is held', async ([, , first]) => await run('messages', 'hold', first?.receipt ?? '')],
    ['its first sender is erased', async () => await run('senders', 'erase', '--email', 'v3@example.test', '--yes')],
  ];
  for (const [what, change] of others) {
    it(`still name the others if ${what}`, async () => {
      const posted = await postMany(5);
      await change(posted);
      await post(6);
      const after = await notifications();
      expect(after.filter((it) => it.digest_id !== null && it.failure === null)).to.have.lengthOf(1);
      const mails = await deliver();
      const named = mails.flatMap((it) => it.receipts);
      expect(named.slice(0, 2)).to.deep.equal(posted.slice(3).map((it) => it.receipt));
      expect(named).to.have.lengthOf(3);
    });

    it(`come with another digest if ${what} and it was the only one`, async () => {
      await change(await postMany(3));
      await post(4);
      await post(5);
      expect((await deliver()).flatMap((it) => it.receipts)).to.have.lengthOf(2);
    });
  }

  const meanwhile: [what: string, change: string][] = [
    ['deleted', 'delete from messages where receipt = $1'],
    [
      'held',
      `update emails set state = 'held', failure = null, digest_id = null
       where message_id = (select id from messages where receipt = $1)`,
    ],
  ];
  for (const [what, change] of meanwhile) {
    it(`still name the others if the first and second are ${what} at once`, async () => {
      const posted = await postMany(6);
      const other = new pg.Client({ connectionString: api.db.url });
      await other.connect();
      try {
        await other.query('begin');
        await other.query(change, [posted[3]?.receipt]);
        const deleted = run('messages', 'delete', posted[2]?.receipt ?? '', '--yes');
        await api.db.waitingForLocks(1);
        await other.query('commit');
        await deleted;
      } finally {
        await other.end();
      }
      const named = (await deliver()).flatMap((it) => it.receipts);
      expect(named).to.deep.equal(posted.slice(4).map((it) => it.receipt));
    });
  }

  it('are deleted without a deadlock with posts from the same sender', async () => {
    const posted = await postMany(4);
    const other = new pg.Client({ connectionString: api.db.url });
    await other.connect();
    try {
      // As the storing statement does: first the sender, then the hourly count.
      await other.query(`begin; select from senders for update`);
      const deleted = run('messages', 'delete', posted[2]?.receipt ?? '', '--yes');
      await api.db.waitingForLocks(1);
      await other.query('select from notify_hours for update nowait');
      await other.query('commit');
      await deleted;
    } finally {
      await other.end();
    }
  });

  it('go out later if the digest was dropped for that of another owner', async () => {
    await postMany(3, async () => await api.db.query(`update forms set recipients = '{a@site.test,b@site.test}'`));
    const row = (await notifications()).find((it) => it.recipient === 'a@site.test' && it.digest_id !== null);
    await run('emails', 'resend', row?.id ?? '', '--to', 'b@site.test');
    const later = [await post(4), await post(5)].map((it) => it.receipt);
    const mails = await deliver();
    expect(mails.filter((it) => it.to === 'a@site.test').flatMap((it) => it.receipts)).to.deep.equal(later);
  });

  it('are sent alone if their message is held and released before the digest', async () => {
    const posted = await postMany(5);
    await run('messages', 'hold', posted[4]?.receipt ?? '');
    expect((await states()).at(-1)).to.equal('held');
    await run('messages', 'release', posted[4]?.receipt ?? '');
    const mails = await deliver();
    expect(mails.flatMap((it) => it.receipts)).to.deep.equal(posted.slice(2, 4).map((it) => it.receipt));
    expect(mails.some((it) => it.text.includes('Message 5'))).to.equal(true);
  });

  const early: [what: string, change: (id: string) => Promise<unknown>][] = [
    ['sends it early', async (id) => await run('emails', 'resend', id).then(deliver)],
    ['cancels it', async (id) => await run('emails', 'cancel', id)],
  ];
  for (const [what, change] of early) {
    it(`get another digest if an operator ${what}`, async () => {
      await postMany(4);
      await change((await digest())?.id ?? '');
      const later = [await post(5), await post(6)].map((it) => it.receipt);
      expect((await deliver()).flatMap((it) => it.receipts)).to.deep.equal(later);
    });
  }

  it('go to another address together', async () => {
    const posted = await postMany(5);
    await run('emails', 'resend', '--queued', '--to', 'other@site.test', '--yes');
    const mails = await deliver();
    expect(new Set(mails.map((it) => it.to))).to.deep.equal(new Set(['other@site.test']));
    expect(mails.flatMap((it) => it.receipts)).to.deep.equal(posted.slice(2).map((it) => it.receipt));
  });

  it('are counted for each owner, by the limit in force', async () => {
    await postMany(3, async () => await api.db.query(`update forms set recipients = '{a@site.test}'`));
    await run('forms', 'change', 'contact', '--to', 'a@site.test', 'b@site.test', '--notify-limit', '1');
    await post(4);
    await post(5);
    const of = async (owner: string) => (await notifications()).filter((it) => it.recipient === owner);
    const words = (rows: Notification[]) =>
      rows.map((it) => it.failure ?? (it.digest_id === null ? 'alone' : 'digest-mail'));
    expect(words(await of('a@site.test'))).to.deep.equal(['alone', 'alone', 'digest-mail', 'digest', 'digest']);
    expect(words(await of('b@site.test'))).to.deep.equal(['alone', 'digest-mail']);
    await run('forms', 'change', 'contact', '--notify-limit', 'off');
    await post(6);
    expect(words((await notifications()).slice(-2))).to.deep.equal(['alone', 'alone']);
    // A limit lowered below what was sent.
    await startOver();
    await postMany(2);
    await run('forms', 'change', 'contact', '--notify-limit', '1');
    await post(3);
    await post(4);
    expect(words(await notifications())).to.deep.equal(['alone', 'alone', 'digest-mail', 'digest']);
  });

  it('share one digest if many posts arrive at once; it names 200', async () => {
    for (;;) {
      await Promise.all(Array.from({ length: 205 }, (_, n) => post(n)));
      if ((await api.db.query('select from notify_hours')).length === 1) break;
      await startOver();
    }
    const rows = await notifications();
    expect(rows.filter((it) => it.digest_id === null)).to.have.lengthOf(2);
    expect(rows.filter((it) => it.failure === 'digest')).to.have.lengthOf(202);
    expect(new Set(rows.flatMap((it) => it.digest_id ?? []))).to.have.lengthOf(1);
    const [named] = (await deliver()).filter((it) => it.receipts.length > 0);
    expect(named?.receipts).to.have.lengthOf(200);
    expect(named?.text).to.include('203 more messages').and.include('and 3 more\n');
  });

  it('keep their messages from being purged until the digest was sent', async () => {
    await postMany(5);
    await past.aged(api.db, '31 days');
    await api.db.query(`update emails set state = 'sent' where digest_id is null`);
    const waiting = async () => JSON.parse(await run('purge', '--dry-run', '--json')).items[0].waiting;
    expect(await waiting()).to.equal(3);
    await past.failed(api.db, (await digest())?.id);
    expect(await waiting(), 'nobody was told').to.equal(3);
    await run('emails', 'resend', (await digest())?.id ?? '');
    await deliver();
    expect(await waiting()).to.equal(0);
  });

  it('are held with their message, and are not counted then', async () => {
    await postMany(2);
    const held = await api.http.post('/api/messages', submission({ _gotcha: 'x' }));
    expect(held.status).to.equal(201);
    await post(3);
    expect((await states()).toSorted()).to.deep.equal(['held', 'queued', 'queued', 'queued']);
    expect((await digest())?.state).to.equal('queued');
  });
});
