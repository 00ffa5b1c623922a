import { expect } from 'chai';
import { clientOf, submission } from '../support/api.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import type { Settings } from '../support/program.ts';
import { type ServerHere, startServerHere } from '../support/server-here.ts';
import { type SmtpServer, startSmtpServer } from '../support/smtp-server.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { until } from '../support/until.ts';

describe('a worker that loses its database connection', () => {
  let db: TestDatabase;
  let proxy: TcpProxy;
  let smtp: SmtpServer;
  let settings: Settings;
  /** A server that leaves delivering to others. */
  let quiet: ServerHere;

  before(async () => {
    db = await createDatabase();
    proxy = await TcpProxy.before(db.url);
    smtp = await startSmtpServer();
    settings = {
      DATABASE_URL: db.url,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'site@site.test',
      NOTIFY_TO: 'owner@site.test',
    };
    quiet = await startServerHere(settings);
  });
  after(async () => {
    await quiet[Symbol.asyncDispose]();
    await smtp[Symbol.asyncDispose]();
    await proxy[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    smtp.reset();
    await db.empty();
    await post('ada');
  });

  async function post(who: string): Promise<void> {
    const answer = await clientOf(quiet.url).post('/api/messages', submission({ email: `${who}@example.test` }));
    expect(answer.status).to.equal(201);
  }

  const startWorker = () => startServerHere({ ...settings, DATABASE_URL: proxy.urlOf(db.url) }, { deliver: true });

  /** After a statement, and nothing gets through from then on: so that nothing is given back before the test goes on. */
  const cutAndAway = async (statement: string) => {
    await proxy.cutAt('after', statement);
    proxy.mode = 'refuse';
  };

  const emails = () =>
    db.query<{ kind: string; state: string; tries: number; leased: boolean }>(
      'select kind, state, tries, lease_token is not null as leased from emails order by kind',
    );

  /** Long before a lease would have ended, and as if nothing had happened. */
  async function bothAreSentOnce(): Promise<void> {
    await until(
      'both are sent',
      async () => (await db.emails())['auto-reply sent'] && (await db.emails())['notification sent'],
    );
    expect(await emails()).to.deep.equal(
      ['auto-reply', 'notification'].map((kind) => ({ kind, state: 'sent', tries: 1, leased: false })),
    );
    const attempts = await db.query('select outcome from attempts');
    expect(attempts).to.deep.equal([{ outcome: 'accepted' }, { outcome: 'accepted' }]);
    expect(smtp.messages.map((it) => it.to[0])).to.have.members(['ada@example.test', 'owner@site.test']);
  }

  it('sends the mail later, if lost after a claim and on return', async () => {
    const cut = proxy.cutAt('before', 'cancel_unwanted').then(() => proxy.cutAt('before', 'return_emails_1'));
    await using _worker = await startWorker();
    await cut;
    await bothAreSentOnce();
  });

  it('returns the mail of a claim whose response was lost', async () => {
    const claimed = cutAndAway('claim_due');
    await using worker = await startWorker();
    await claimed;
    expect(await emails()).to.deep.equal(
      ['auto-reply', 'notification'].map((kind) => ({ kind, state: 'queued', tries: 1, leased: true })),
    );
    proxy.mode = 'pass';
    await bothAreSentOnce();
    expect(worker.log).to.include('"emails":2').and.include('emails of a claim without a response were returned');
  });

  it('returns the mail of a claim that takes effect late', async () => {
    const late = proxy.cutAt('before', 'claim_due').then(async (deliver) => {
      // Before the second claim it has asked after the first one, in vain.
      await proxy.cutAt('before', 'claim_due');
      deliver();
    });
    await using _worker = await startWorker();
    await late;
    await bothAreSentOnce();
  });

  it('returns the mail of a lost claim when it stops', async () => {
    const claimed = cutAndAway('claim_due');
    const worker = await startWorker();
    await claimed;
    // Or it would ask, at the stop, on a connection of which it has not noticed that it is gone.
    await until('it knows', () => worker.log.includes('delivery waits'));
    proxy.mode = 'pass';
    await worker[Symbol.asyncDispose]();
    expect(await emails()).to.deep.equal(
      ['auto-reply', 'notification'].map((kind) => ({ kind, state: 'queued', tries: 0, leased: false })),
    );
    expect(await db.count('attempts')).to.equal(0);
    expect(smtp.messages).to.have.lengthOf(0);
  });

  it('sends no auto-replies that it could not check', async () => {
    await db.query('update senders set blocked_at = now()');
    const cancelled = proxy.cutAt('after', 'cancel_unwanted');
    {
      await using _worker = await startWorker();
      await cancelled;
      expect(await db.emails()).to.include({ 'auto-reply cancelled': 1 });
      await post('bob');
      await until('what comes after it is sent', async () => (await db.emails())['auto-reply sent'] === 1);
    }
    expect(await db.emails()).to.deep.equal({
      'auto-reply cancelled': 1,
      'auto-reply sent': 1,
      'notification sent': 2,
    });
    expect(smtp.messages.map((it) => it.to[0])).to.not.include('ada@example.test');
  });
});
