import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Hook } from '../../src/entities/index.ts';
import { createHookSender } from '../../src/hooks/https-sender.ts';
import { createLog } from '../../src/log.ts';
import type { Outcome } from '../../src/mail/mailer.ts';
import type { MailingContext } from '../../src/mailing-context.ts';
import { runDeliveryLoop } from '../../src/services/delivery/delivery-loop.ts';
import { createNewMailSignal } from '../../src/services/delivery/new-mail-signal.ts';
import { createEmailJob } from '../../src/services/emails/email-job.ts';
import { composeDelivery } from '../../src/services/hooks/compose-delivery.ts';
import { decideDelivery } from '../../src/services/hooks/delivery-schedule.ts';
import { createHookJob } from '../../src/services/hooks/hook-job.ts';
import { deliverHooksUntilIdle, runHooks } from '../../src/services/hooks/run-hooks.ts';
import { openScope } from '../../src/services/scope.ts';
import { type MessageContent, sealContent } from '../../src/services/sealed-values.ts';
import { runHere } from '../cli/terminal.ts';
import { buildMessages } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { buildHook, makeDeliveriesDue, queueDeliveries } from '../support/deliveries.ts';
import { type Mischief, Receiver, type ScriptedAnswer } from '../support/receiver.ts';
import { mailerTo } from '../support/smtp-mail.ts';
import { startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';

describe("a hook's deliveries", () => {
  let db: TestDatabase;
  let receiver: Receiver;
  let context: MailingContext;

  before(async () => {
    db = await createDatabase();
    const opened = await openTestMailing(db, { NOTIFY_TO: 'owner@site.test' });
    context = { ...opened, hookSender: createHookSender({ allowHosts: ['127.0.0.1'] }, { deadlineMs: 1000 }) };
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    receiver = await Receiver.open();
    await db.empty();
    await db.query('truncate hooks cascade');
  });
  afterEach(async () => {
    await receiver[Symbol.asyncDispose]();
  });

  const deliver = () => deliverHooksUntilIdle(context, new AbortController().signal);
  const rows = () =>
    db.query<{ id: string; state: string; failure: string | null; tries: number; wait: number; leased: boolean }>(
      `select id, state, failure, tries, extract(epoch from due_at - now())::float8 as wait, lease_token is not null as leased
       from hook_deliveries order by created_at`,
    );
  const attempts = async () => {
    const found = await db.query<{ outcome: string; code: number | null }>(
      'select outcome, code from hook_attempts order by finished_at, outcome desc',
    );
    return found.map(({ outcome, code }) => (code === null ? outcome : `${outcome} ${code}`));
  };
  const hookState = async () => {
    const [row] = await db.query<{ state: string; failing: boolean; quiet: number | null }>(
      `select state, failing_since is not null as failing, extract(epoch from quiet_until - now())::float8 as quiet from hooks`,
    );
    return row;
  };

  const answers: [answer: ScriptedAnswer | Mischief, attempt: string, state: string, wait?: [number, number]][] = [
    [{ status: 200 }, 'accepted 200', 'sent'],
    [{ status: 204 }, 'accepted 204', 'sent'],
    [{ status: 302, headers: { Location: '/elsewhere' } }, 'later 302', 'queued', [4, 6]],
    [{ status: 400, body: 'x'.repeat(9000) }, 'later 400', 'queued', [4, 6]],
    [{ status: 410 }, 'refused 410', 'failed'],
    [{ status: 429, headers: { 'Retry-After': '120' } }, 'later 429', 'queued', [119, 144]],
    [{ status: 500 }, 'later 500', 'queued', [4, 6]],
    ['silence', 'away', 'queued', [4, 6]],
    ['reset', 'away', 'queued', [4, 6]],
    ['garbage', 'away', 'queued', [4, 6]],
    ['endless', 'accepted 200', 'sent'],
  ];
  for (const [answer, attempt, state, [least, most] = [-10, 0]] of answers) {
    it(`answered by ${typeof answer === 'string' ? answer : answer.status} ${state === 'queued' ? 'come again' : 'end'}`, async () => {
      receiver.answer(answer);
      await buildMessages(context, 1);
      const [id] = await queueDeliveries(db, await buildHook(db, context, receiver.url));
      expect(await deliver()).to.equal(1);
      const [row] = await rows();
      expect(row).to.include({ state, tries: 1, leased: false, failure: state === 'failed' ? 'refused' : null });
      expect(row?.wait).to.be.within(least, most);
      expect(await attempts()).to.deep.equal([attempt]);
      const shown = await runHere(['hooks', 'deliveries', 'show', `${id}`, '--json'], db);
      const [{ outcome, code, reply }] = JSON.parse(shown.stdout).attempts;
      expect(code === null ? outcome : `${outcome} ${code}`).to.equal(attempt);
      expect(reply.length).to.be.within(attempt === 'away' ? 1 : 0, 4096);
      const hook = await hookState();
      expect(hook).to.include({ state: state === 'failed' ? 'gone' : 'active', failing: state === 'queued' });
      if (state === 'queued') expect(hook?.quiet).to.be.within(least, most);
      await makeDeliveriesDue(db);
      await deliver();
      const again = state === 'queued';
      expect(receiver.ids).to.deep.equal(again ? [id, id] : [id]);
      if (again) expect((await rows())[0]).to.include({ state: 'sent', tries: 2 });
      if (again) expect(await hookState()).to.deep.equal({ state: 'active', failing: false, quiet: null });
    });
  }

  it('follow the schedule of Standard Webhooks, then fail', () => {
    const seconds = (tries: number, random: number) => {
      const next = decideDelivery(tries, { result: 'later' }, random);
      return next.failure ?? next.waitMs / 1000;
    };
    const hours = (...counts: number[]) => counts.map((it) => it * 3600);
    const waits = [5, 300, 1800, ...hours(2, 5, 10, 14, 20, 24), 'schedule-ended'];
    expect(waits.map((_, index) => seconds(index + 1, 0))).to.deep.equal(waits);
    expect(seconds(1, 0.999)).to.be.within(5.99, 6);
    expect(decideDelivery(1, { result: 'later', retryAfterMs: 9e9 }, 0).waitMs, 'a day at most').to.equal(86_400_000);
  });

  it('of a failing hook are tried one at a time, and not while it is quiet', async () => {
    receiver.always = { status: 500 };
    await buildMessages(context, 4);
    await queueDeliveries(db, await buildHook(db, context, receiver.url));
    expect(await deliver(), 'one in each lane').to.equal(2);
    expect(await deliver(), 'quiet').to.equal(0);
    await makeDeliveriesDue(db);
    expect(await deliver()).to.equal(1);
    // Four minutes of failures: a minute of quiet.
    await db.query(`update hooks set quiet_until = null, failing_since = now() - interval '4 minutes'`);
    expect(await deliver()).to.equal(1);
    expect((await hookState())?.quiet).to.be.within(55, 60);
  });

  it('that were claimed ahead are returned when the hook begins to fail', async () => {
    receiver.answer(...Array.from({ length: 6 }, () => ({}))).always = { status: 500 };
    await buildMessages(context, 20);
    await queueDeliveries(db, await buildHook(db, context, receiver.url));
    await deliver();
    // One more in each lane, and a claim that was under way. Four were claimed ahead.
    expect(receiver.ledger.length).to.be.within(7, 10);
    expect((await rows()).filter((it) => it.leased)).to.deep.equal([]);
  });

  it('wait while the hook is paused, or the database was restored', async () => {
    await buildMessages(context, 2);
    const hook = await buildHook(db, context, receiver.url);
    await queueDeliveries(db, hook);
    await db.query(`update hooks set state = 'paused'`);
    expect(await deliver()).to.equal(0);
    const claimed = await createHookJob(context, hook).claim(openScope(context), 2, randomUUID());
    expect(claimed.rows, 'also for a worker that has not heard of it').to.deep.equal([]);
    await db.query(`update hooks set state = 'active'`);
    await db.query(`update mail_queue set paused_at = now(), cause = 'restored'`);
    expect(await deliver()).to.equal(0);
    // A pause of mail for another cause is none of hooks.
    await db.query(`update mail_queue set cause = 'broken'`);
    expect(await deliver()).to.equal(2);
  });

  it('of a dead worker are made again, under the same id', async () => {
    await buildMessages(context, 1);
    const [id] = await queueDeliveries(db, await buildHook(db, context, receiver.url));
    await db.query('update hook_deliveries set lease_token = gen_random_uuid(), tries = 10');
    expect(await deliver()).to.equal(1);
    expect(receiver.ids).to.deep.equal([id]);
    expect(await attempts()).to.deep.equal(['unknown', 'accepted 200']);
    expect((await rows())[0]).to.include({ state: 'sent', tries: 11 });
  });

  it('do not judge a hook by the answer of the address that it had before', async () => {
    await buildMessages(context, 2);
    const hook = await buildHook(db, context, receiver.url);
    await queueDeliveries(db, hook);
    const [job, scope] = [createHookJob(context, hook), openScope(context)];
    const { rows: claimed } = await job.claim(scope, 2, randomUUID());
    const refused: Outcome = { result: 'refused', code: 410, reply: '' };
    for (const [row, url, state] of [
      [claimed[0], hook.seal('url', `${receiver.url}/new`), 'active'],
      [claimed[1], (await db.query<{ url: Buffer }>('select url from hooks'))[0]?.url, 'gone'],
    ] as const) {
      if (row === undefined) throw new Error('nothing was claimed');
      await db.query('update hooks set url = $1', [url]);
      const settlement = { row, startedAt: new Date(), outcome: refused, next: job.schedule(row, refused) };
      expect((await job.settle(scope, [settlement])).size).to.equal(1);
      expect((await hookState())?.state).to.equal(state);
    }
  });

  it('use the address, secrets and content that the hook has at the attempt', async () => {
    receiver.answer({ status: 500 });
    await buildMessages(context, 1, () => ({ name: 'Ada', message: 'é"\n'.repeat(3000) }));
    const hook = await buildHook(db, context, 'http://127.0.0.1:1/');
    await queueDeliveries(db, hook);
    await deliver();
    await makeDeliveriesDue(db);
    await db.query('update hooks set url = $1', [hook.seal('url', `${receiver.url}/first`)]);
    await deliver();
    await makeDeliveriesDue(db);
    const former = hook.seal('former_secret', hook.secret);
    await db.query(
      `update hooks set url = $1, former_secret = $2, former_until = now() + interval '1 day', with_content = true`,
      [hook.seal('url', `${receiver.url}/second`), former],
    );
    await deliver();
    const [first, second] = receiver.ledger;
    expect([first?.path, second?.path]).to.deep.equal(['/first', '/second']);
    expect(String(first?.headers['webhook-signature']).split(' ')).to.have.lengthOf(1);
    expect(String(second?.headers['webhook-signature']).split(' ')).to.have.lengthOf(2);
    const [{ data }, { data: more }] = [JSON.parse(first?.body ?? ''), JSON.parse(second?.body ?? '')];
    expect(data).to.have.keys('receipt', 'messageId', 'receivedAt', 'form', 'command');
    expect(data.command).to.equal(`ruffinweb messages show ${data.receipt}`);
    expect(more).to.include({ truncated: true });
    expect(more.content).to.include({ name: 'Ada', email: 'ada@example.test' });
    expect(Buffer.byteLength(second?.body ?? '')).to.be.within(12_000, 20_000);
  });

  describe('with content', () => {
    /** The body about a message that is not stored, so that it may have any content. */
    const compose = async (
      content: Partial<MessageContent>,
      event: string = 'message.accepted',
      status = 'accepted',
    ) => {
      await buildHook(db, context, receiver.url, { withContent: true });
      const scope = openScope(context);
      const [hook] = await scope.em.find(Hook, {});
      const [id, text] = [randomUUID(), content.text ?? 'Hello'];
      const sealed = sealContent(context.keyring, id, { address: 'ada@example.test', text, extra: [], ...content });
      const form = { slug: text.slice(0, 64), name: text.slice(0, 200) };
      const message = {
        id,
        receipt: 'RW-4K2M9Q7T1X',
        status,
        receivedAt: new Date(),
        content: sealed,
        reasons: [],
        form,
      };
      return composeDelivery(scope, hook as Hook, { id, event, createdAt: new Date(), message } as never).body;
    };

    it('have at most 20 kB in any characters, and the names of fields as over HTTP', async () => {
      for (const char of ['a', 'é', '漢', '😀', '"', '\\', '\n', '\u2028', '\ud800', '\u007f', '<']) {
        const text = (count: number) => char.repeat(count);
        const extra = Array.from({ length: 30 }, (_, n): [string, string] => [`${n}${text(62)}`, text(2000)]);
        extra[0] = ['__proto__', 'x'];
        const body = await compose({ name: text(200), subject: text(200), text: text(10_000), extra });
        expect(Buffer.byteLength(body), JSON.stringify(char)).to.be.within(8000, 20_000);
        const { content, truncated } = JSON.parse(body).data;
        expect(truncated).to.equal(true);
        expect(content).to.have.keys('email', 'name', 'subject', 'message', 'extra');
        expect(Object.entries(content.extra)).to.have.lengthOf(30).and.deep.include(['__proto__', 'x']);
        await db.query('truncate hooks cascade');
      }
    });

    for (const [event, status, shown] of [
      ['message.accepted', 'held', false],
      ['email.failed', 'held', false],
      ['email.failed', 'accepted', true],
      ['message.held', 'held', true],
    ] as const) {
      it(`${shown ? 'tell' : 'hide'} it after ${event} of a message that is ${status}`, async () => {
        expect((await compose({}, event, status)).includes('"content"')).to.equal(shown);
      });
    }
  });

  it('reach chat and push services as plain words', async () => {
    await buildMessages(context, 1);
    const hook = await buildHook(db, context, receiver.url, { kind: 'apprise', withContent: true });
    await queueDeliveries(db, hook, 'message.held');
    await db.query(`update messages set reasons = '{many-links}'`);
    await deliver();
    const [{ receipt }] = (await db.query<{ receipt: string }>('select receipt from messages')) as [
      { receipt: string },
    ];
    const { title, body } = JSON.parse(receiver.ledger[0]?.body ?? '{}');
    expect(title).to.equal(`Held message ${receipt} at contact`);
    expect(body).to.include('many links').and.include('Hello there').and.include(`messages show ${receipt}`);
  });

  it('wait while the hooks cannot be read, which is logged once, and then go on', async () => {
    await buildMessages(context, 1);
    await queueDeliveries(db, await buildHook(db, context, receiver.url));
    const lines: string[] = [];
    const log = createLog({ level: 'error', format: 'json' }, { write: (line) => lines.push(line) });
    const [stop, signal] = [new AbortController(), createNewMailSignal()];
    await db.query('alter table hooks rename to away');
    const running = runHooks({ ...context, log }, signal, stop.signal);
    await until('it is logged', () => lines.length > 0);
    signal.raise();
    await db.query('alter table away rename to hooks');
    signal.raise();
    await receiver.received(1);
    stop.abort();
    await running;
    expect(lines.filter((it) => it.includes('hooks wait: the database does not answer'))).to.have.lengthOf(1);
  });

  it('to a dead hook delay neither another hook nor mail, nor a stop', async () => {
    await using smtp = await startSmtpServer();
    await using dead = await Receiver.open();
    dead.always = 'silence';
    await buildMessages(context, 6);
    await db.query(`delete from emails where kind = 'auto-reply'`);
    await queueDeliveries(db, await buildHook(db, context, dead.url));
    const living = await buildHook(db, context, receiver.url);
    await queueDeliveries(db, living);
    await using mailer = mailerTo(smtp);
    const hookSender = createHookSender({ allowHosts: ['127.0.0.1'] });
    const patient = { ...context, mailer, hookSender };
    const [stop, hasten] = [new AbortController(), new AbortController()];
    const signals = [createNewMailSignal(), createNewMailSignal()] as const;
    const running = Promise.all([
      runDeliveryLoop(patient, createEmailJob(patient), signals[0], stop.signal, hasten.signal),
      runHooks(patient, signals[1], stop.signal, hasten.signal),
    ]);
    await dead.received(2);
    await receiver.received(6);
    await until('mail is sent', async () => (await db.emails())['notification sent'] === 6);
    // Paused and resumed while its worker runs.
    await db.query(`update hooks set state = 'paused' where id = $1`, [living.id]);
    signals[1].raise();
    await queueDeliveries(db, living);
    signals[1].raise();
    await db.query(`update hooks set state = 'active' where id = $1`, [living.id]);
    await until('the rest arrives', async () => {
      signals[1].raise();
      return (await rows()).filter((it) => it.state === 'sent').length === 12;
    });
    expect(receiver.ledger).to.have.lengthOf(12);
    stop.abort();
    hasten.abort();
    await running;
    expect(dead.ledger).to.have.lengthOf(2);
    const left = (await rows()).filter((it) => it.state !== 'sent');
    expect(left).to.have.lengthOf(6);
    for (const row of left) expect(row).to.include({ state: 'queued', tries: 0, leased: false });
    const [asked] = await db.query('select from hooks where failing_since is not null');
    expect(asked, 'a stop says nothing about the hook').to.equal(undefined);
  });
});
