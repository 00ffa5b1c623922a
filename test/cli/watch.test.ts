import { expect } from 'chai';
import pg from 'pg';
import type { Context } from '../../src/context.ts';
import { pauseQueue, resumeQueue } from '../../src/services/delivery/pause/pause.ts';
import { newId } from '../../src/services/ids.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { buildDelivery } from '../support/build-delivery.ts';
import { programPath } from '../support/built-program.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { RunningServer } from '../support/program.ts';
import { TcpProxy } from '../support/tcp-proxy.ts';
import { ctrlC, TerminalProgram } from '../support/terminal-program.ts';
import { until } from '../support/until.ts';
import { runHere, withoutColours } from './terminal.ts';

describe('watch', () => {
  let db: TestDatabase;
  let context: Context;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db);
    await db.query(`insert into forms (id, slug) values ($1, 'other')`, [newId()]);
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  /** Inserts a copy of a message in a transaction that stays open. */
  const storeSlowly = async (id: string) => {
    const client = new pg.Client({ connectionString: db.url });
    await client.connect();
    await client.query('begin');
    await client.query(
      `insert into messages (id, receipt, form_id, sender_id, status, content, received_at)
       select $1, 'RW-0000000000', (select id from forms where slug = 'other'), sender_id, status, content, now()
       from messages limit 1`,
      [id],
    );
    return async () => {
      await client.query('commit');
      await client.end();
    };
  };

  it('prints each event once, also after late commits and an outage', async () => {
    await buildMessages(context, 1);
    await using proxy = await TcpProxy.before(db.url);
    await using json = await RunningServer.startCommand(['watch', '--json'], { DATABASE_URL: proxy.urlOf(db.url) });
    const terminal = new TerminalProgram(`exec '${process.execPath}' '${programPath()}' watch --form contact --mask`, {
      DATABASE_URL: db.url,
    });
    await using _ = { [Symbol.asyncDispose]: () => terminal.close() };
    await Promise.all([
      json.said(/Watching/),
      until('the terminal watches', () => terminal.output.includes('Watching')),
    ]);
    const screen = () => withoutColours(terminal.output);
    const events = () =>
      json.output
        .trim()
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line));
    const commit = await storeSlowly(newId());
    const [held] = await buildMessages(context, 1, () => ({ _gotcha: 'x', email: 'eve@example.test' }));
    await until('a later message is seen', () => json.output.includes(held?.receipt ?? ''));
    await commit();
    await until('an earlier message is seen', () => json.output.includes('RW-0000000000'));

    await settleDue(context, (it) => (it.kind === 'notification' ? mailOutcomes.later : mailOutcomes.refused));
    await db.makeAllDue();
    await settleDue(context, () => mailOutcomes.accepted);
    const about = { hook: 'slack', messageId: held?.id } as const;
    await buildDelivery(db, context, { ...about, outcome: 'later', code: 500, reply: 'oops bob@example.test' });
    await buildDelivery(db, context, { ...about, state: 'failed', outcome: 'refused', code: 410, reply: 'gone' });
    await buildDelivery(db, context, { ...about, state: 'sent', outcome: 'accepted', code: 200, reply: 'ok' });
    await pauseQueue(openScope(context), 'hand', 'ask bob@example.test');
    await until('the pause is seen', () => json.output.includes('queue-paused'));
    proxy.mode = 'refuse';
    await json.said(/does not answer/);
    await resumeQueue(openScope(context));
    // As the claim does for a lost worker: its id is random.
    await db.query(`insert into attempts (id, email_id, outcome, finished_at)
      select gen_random_uuid(), id, 'unknown', now() from emails where kind = 'notification' limit 1`);
    proxy.mode = 'pass';
    await json.said(/is back/);
    await until('the end of the pause is seen', () => json.output.includes('queue-resumed'));

    expect(json.log.match(/does not answer/g)).to.have.lengthOf(1);
    const [first] = events();
    expect(first).to.deep.equal({
      at: held?.receivedAt.toISOString(),
      event: 'message-held',
      form: 'contact',
      receipt: held?.receipt,
      messageId: held?.id,
      emailId: null,
      kind: null,
      hook: null,
      deliveryId: null,
      address: 'eve@example.test',
      reasons: ['honeypot'],
      said: null,
      nextAt: null,
    });
    const told = events().map((it) => [it.event, it.kind, it.hook ?? it.address, it.said]);
    expect(told).to.have.deep.members([
      ['message-held', null, 'eve@example.test', null],
      ['message-stored', null, null, null],
      ['email-retried', 'notification', 'owner@localhost', '450 4.2.0 greylisted'],
      ['email-failed', 'auto-reply', 'ada@example.test', '550 5.1.1 no such user'],
      ['email-sent', 'notification', 'owner@localhost', '250 2.0.0 ok'],
      ['hook-retried', 'message.accepted', 'slack', '500 oops bob@example.test'],
      ['hook-failed', 'message.accepted', 'slack', '410 gone'],
      ['hook-sent', 'message.accepted', 'slack', '200 ok'],
      ['queue-paused', null, null, 'ask bob@example.test'],
      ['email-retried', 'notification', 'owner@localhost', null],
      ['queue-resumed', null, null, null],
    ]);

    await until('the terminal shows all', () => screen().includes('mail goes out again'));
    expect(await terminal.type(ctrlC)).to.equal(0);
    for (const line of [
      /\d\d:\d\d:\d\d {2}held {5}RW-\w{10} {2}contact {2}e\*\*\*@example.test: a hidden field was filled in/,
      /retry {4}RW-\w{10} {2}notification to o\*\*\*@localhost(, again (now|in \d+ (s|min)))?: 450 4.2.0 greylisted/,
      /retry {4}RW-\w{10} {2}message.accepted to slack, again in \d+ min: 500 oops b\*\*\*@example.test/,
      /failed {3}RW-\w{10} {2}message.accepted to slack: 410 gone/,
      /sent {5}RW-\w{10} {2}message.accepted to slack/,
      /paused {3}the queue was paused by hand: ask b\*\*\*@example.test/,
      /resumed {2}mail goes out again/,
    ]) {
      expect(screen()).to.match(line);
    }
    expect(screen(), 'of another form').to.not.include('RW-0000000000');
    expect(await json.stop('SIGINT')).to.deep.equal({ code: 0, signal: null });
  });

  it('exits 1 for an unknown form, and says where refused posts are', async () => {
    expect(await runHere(['watch', '--form', 'nope'], db)).to.include({ code: 1, stdout: '' });
    expect((await runHere(['watch', '--help'], db)).stdout.replaceAll(/\s+/g, ' ')).to.include('ruffinweb_posts_total');
  });
});
