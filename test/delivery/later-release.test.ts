import { expect } from 'chai';
import type { Mail, Mailer, Outcome } from '../../src/mail/mailer.ts';
import type { MailingContext } from '../../src/mailing-context.ts';
import { createKey } from '../../src/services/api-keys/api-keys.ts';
import { pauseQueue } from '../../src/services/delivery/pause/pause.ts';
import { openScope } from '../../src/services/scope.ts';
import { type MessageContent, sealContent } from '../../src/services/sealed-values.ts';
import { runHere } from '../cli/terminal.ts';
import type { Answer, Client } from '../support/api.ts';
import { buildMessages, deliverDue } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Api, openApi } from '../support/server-here.ts';

const accepted: Outcome = { result: 'accepted', code: 250, reply: '250 ok' };
const token = 'a-token-for-metrics-of-this-test';

function mailerInto(mails: Mail[]): Mailer {
  return {
    lanes: 2,
    describes: 'a test',
    async send(mail) {
      mails.push(mail);
      return accepted;
    },
    verify: async () => accepted,
    walk: async () => ({ outcome: accepted, certificateEndsAt: undefined }),
    [Symbol.asyncDispose]: async () => {},
  };
}

describe('rows of a later release on the same database', () => {
  let api: Api;
  let db: TestDatabase;
  let http: Client;
  let context: MailingContext;
  let headers: Record<string, string>;
  /** A message without a sender. */
  let message: { id: string; receipt: string };

  before(async () => {
    api = await openApi({ METRICS_TOKEN: token, NOTIFY_TO: 'owner@site.test' });
    ({ db, http } = api);
    context = await openTestMailing(db, { NOTIFY_TO: 'owner@site.test' });
    const { key } = await createKey(openScope(context), { name: 'test', scopes: ['read', 'write', 'export'] });
    headers = { Authorization: `Bearer ${key}` };
    // What the next release's migrations may take away.
    await db.query(`alter table messages alter column sender_id drop not null, drop constraint messages_status_check`);
    await db.query(`alter table emails drop constraint emails_kind_check, drop constraint emails_state_check,
      drop constraint emails_failure_check`);
    await db.query('alter table attempts drop constraint attempts_outcome_check');
    await db.query('alter table mail_queue drop constraint mail_queue_cause_check');
    await db.query('alter table forms drop constraint forms_language_check');
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await api[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
    const [stored] = await buildMessages(context, 1);
    const [row] = await db.query<{ id: string }>('select id from messages');
    message = { id: row?.id ?? '', receipt: stored?.receipt ?? '' };
    const content = sealContent(context.keyring, message.id, { text: 'Hello', extra: [] } as unknown as MessageContent);
    await db.query('update messages set sender_id = null, content = $1', [content]);
    await db.query('delete from emails where sender_id is not null');
    await db.query('update senders set message_count = 0');
    // Due for longer than the notification, so that a claim would meet them first.
    await copyNotification('confirmation', 'queued', null);
    await copyNotification('notification', 'bounced', null);
    await copyNotification('notification', 'cancelled', 'opted-out');
  });

  async function copyNotification(kind: string, state: string, failure: string | null): Promise<void> {
    await db.query(
      `with copied as (
         insert into emails (id, kind, state, failure, message_id, recipient, due_at, internet_message_id, created_at)
         select gen_random_uuid(), $1, $2, $3, message_id, recipient, due_at - interval '1 minute', internet_message_id, now()
         from emails where kind = 'notification' and state = 'queued' returning id
       )
       insert into attempts (id, email_id, outcome, finished_at) select gen_random_uuid(), id, 'deferred', now() from copied`,
      [kind, state, failure],
    );
  }
  const idOf = async (where: string) => (await db.query<{ id: string }>(`select id from emails where ${where}`))[0]?.id;
  const get = (path: string): Promise<Answer> => http.send(path, { headers });
  const here = (...args: string[]) => runHere(args, db);

  it('are left to its worker; a message without a sender is sent', async () => {
    const mails: Mail[] = [];
    await deliverDue({ ...context, mailer: mailerInto(mails) });
    expect(await db.emails()).to.deep.equal({
      'confirmation queued': 1,
      'notification bounced': 1,
      'notification cancelled': 1,
      'notification sent': 1,
    });
    expect(await idOf(`kind = 'confirmation' and tries = 0 and lease_token is null`)).to.be.a('string');
    const [mail] = mails;
    expect(mail?.subject)
      .to.match(/^New message: contact/i)
      .and.include(message.receipt);
    expect(mail?.text).to.match(/^Somebody wrote to you\n/);
    expect(mail).to.not.have.any.keys('replyTo', 'inReplyTo');
    expect(mail?.text).to.include('Hello').and.not.include('E-mail:').and.not.include('goes to the sender');
    expect(mail?.html).to.not.include('E-mail').and.not.include('goes to the sender');
  });

  it("are written in the page's language if the form follows it and it is known", async () => {
    const id = (await idOf(`kind = 'notification' and state = 'queued'`)) ?? '';
    for (const [form, page, words] of [
      ['auto', 'de', 'Jemand hat Ihnen geschrieben'],
      ['auto', 'fr', 'Somebody wrote to you'],
      ['auto', undefined, 'Somebody wrote to you'],
      ['de', 'en', 'Jemand hat Ihnen geschrieben'],
      ['fr', 'de', 'Somebody wrote to you'],
      [null, 'de', 'Somebody wrote to you'],
    ] as const) {
      const content = { text: 'Hello', extra: [], language: page } as unknown as MessageContent;
      await db.query('update messages set content = $1', [sealContent(context.keyring, message.id, content)]);
      await db.query('update forms set language = $1', [form]);
      expect((await here('emails', 'show', id, '--mail')).stdout, `${form} ${page}`).to.include(words);
    }
  });

  it('are listed, shown and exported as they are stored', async () => {
    const emails = (await get('/api/emails')).text;
    for (const value of ['confirmation', 'bounced', 'opted-out']) expect(emails).to.include(`"${value}"`);
    const bounced = await get(`/api/emails/${await idOf(`state = 'bounced'`)}`);
    expect(bounced.text).to.include('"outcome":"deferred"');
    const shown = await get(`/api/messages/${message.id}`);
    expect(shown.json).to.include({ senderId: null, email: null, message: 'Hello' });

    for (const args of [
      ['emails', 'list'],
      ['emails', 'list', '--json'],
      ['messages', 'list'],
      ['messages', 'show', message.receipt],
      ['messages', 'export'],
      ['messages', 'export', '--format', 'jsonl'],
      ['emails', 'show', (await idOf(`state = 'bounced'`)) ?? ''],
      ['emails', 'show', (await idOf(`kind = 'confirmation'`)) ?? ''],
      ['emails', 'show', (await idOf(`kind = 'notification' and state = 'queued'`)) ?? '', '--mail'],
      ['stats'],
    ]) {
      const { code, stderr } = await here(...args);
      expect(code, `${args.join(' ')}: ${stderr}`).to.equal(0);
    }
    expect((await here('emails', 'list')).stdout)
      .to.include('bounced')
      .and.include('confirmation');
    await db.query(`update messages set status = 'quarantined'`);
    expect((await get(`/api/messages/${message.id}`)).json).to.include({ status: 'quarantined' });
    expect((await here('messages', 'list')).stdout).to.include('quarantined');
  });

  it('are counted in metrics; a pause for an unknown cause is shown', async () => {
    const metrics = async () => (await http.get('/metrics', { Authorization: `Bearer ${token}` })).text;
    const before = await metrics();
    expect(before).to.include('ruffinweb_emails{kind="confirmation",state="queued"} 1');
    expect(before).to.include('ruffinweb_emails{kind="notification",state="bounced"} 1');
    await pauseQueue(openScope(context), 'hand', null);
    await db.query(`update mail_queue set cause = 'quota'`);
    expect(await metrics()).to.include('ruffinweb_queue_paused{cause="quota"} 1');
    const health = await here('health', '--json');
    expect(health.stdout).to.include('a cause that only a later release knows: quota');
    expect((await here('emails', 'list')).code).to.equal(0);
    const mails: Mail[] = [];
    await deliverDue({ ...context, mailer: mailerInto(mails) });
    expect(mails).to.be.empty;
    expect((await here('emails', 'resume')).code).to.equal(0);
    expect(await metrics()).to.not.include('quota');
  });

  it('are neither resent nor cancelled if their rules are unknown', async () => {
    const bounced = await idOf(`state = 'bounced'`);
    const confirmation = await idOf(`kind = 'confirmation'`);
    const refusals = [
      ['resend', bounced, 'email-not-resendable', 'a state that this release does not know: bounced'],
      ['resend', confirmation, 'email-not-resendable', 'a kind that this release does not know: confirmation'],
      ['cancel', bounced, 'email-not-cancellable', 'a state that this release does not know: bounced'],
    ];
    for (const [verb, id, code, reason] of refusals) {
      const answer = await http.send(`/api/emails/${id}/${verb}`, { method: 'POST', headers });
      expect(answer.status, `${verb} ${id}`).to.equal(409);
      expect(answer.text).to.include(code).and.include(reason);
    }
    await db.query(`update emails set state = 'failed' where kind = 'confirmation'`);
    expect((await here('emails', 'resend', '--failed', '--yes')).stdout).to.not.include('1 queued');
    expect(await db.emails()).to.include({ 'confirmation failed': 1 });
    const reply = await runHere(['messages', 'reply', message.receipt], db, { input: 'Hello' });
    expect([reply.code, reply.stderr]).to.deep.equal([1, `message ${message.receipt} has no address to answer to`]);
    // Cancelling is safe whatever the kind.
    expect((await here('emails', 'cancel', confirmation ?? '')).code).to.equal(0);
    expect(await db.emails()).to.include({ 'confirmation cancelled': 1 });
  });

  it('keep a message while it may wait for its mail', async () => {
    await db.query(`update emails set state = 'sent' where state = 'queued'`);
    await db.query('update forms set retention_days = 30');
    await db.age(message.id, 400);
    await here('purge');
    expect(await db.count('messages'), 'bounced may mean that it is still to be sent').to.equal(1);
    await db.query(`delete from emails where state = 'bounced'`);
    expect((await here('purge')).code).to.equal(0);
    expect(await db.count('messages')).to.equal(0);
  });

  it('are deleted with their message and in an erasure', async () => {
    expect((await here('senders', 'erase', '--email', 'ada@example.test', '--yes')).code).to.equal(0);
    expect(await db.count('messages')).to.equal(1);
    expect((await here('messages', 'delete', message.receipt, '--yes')).code).to.equal(0);
    expect(await db.count('messages')).to.equal(0);
    expect(await db.count('emails')).to.equal(0);
  });
});
