import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import pg from 'pg';
import PostalMime from 'postal-mime';
import type { Context } from '../../src/context.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { pauseQueue, resumeQueue } from '../../src/services/delivery/pause/pause.ts';
import { resendEmails } from '../../src/services/emails/resend-emails.ts';
import type { Resent } from '../../src/services/emails/resend-one.ts';
import { openScope } from '../../src/services/scope.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { RunningServer, ruffinweb, temporaryFolder } from '../support/program.ts';
import { startSmtpServer } from '../support/smtp-server.ts';
import { until } from '../support/until.ts';
import { runHere, withoutColours } from './terminal.ts';

describe('emails resend', () => {
  let db: TestDatabase;
  let context: Context;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db);
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.empty();
  });

  const resend = async (...args: string[]): Promise<{ code: number; items: Resent[] }> => {
    const { code, stdout } = await runHere(['emails', 'resend', ...args, '--json'], db);
    return { code, items: JSON.parse(stdout).items };
  };
  const find = async (where: string): Promise<string[]> =>
    (await db.query<{ id: string }>(`select id from emails where ${where} order by id`)).map((row) => row.id);
  /** Messages with a second owner, whose address is as wrong as the first one's. */
  const buildRefusedByTwo = async (count: number) => {
    await buildMessages(context, count);
    await db.query(`insert into emails (id, kind, state, message_id, recipient, due_at, tries, internet_message_id, created_at)
      select gen_random_uuid(), kind, state, message_id, 'gone@site.test', due_at, tries, 'gone-' || internet_message_id, created_at
      from emails where kind = 'notification'`);
    await settleDue(context, () => mailOutcomes.refused);
  };
  const unknownId = '01a20241-c5d6-7a2e-9f54-0b7c7d1e2f3a';

  it('queues failed emails again and wakes the worker at once', async () => {
    await buildMessages(context, 2);
    await settleDue(context, () => mailOutcomes.refused);
    const before = await db.query('select id, kind, created_at from emails order by id');
    const listener = new pg.Client({ connectionString: db.url });
    await listener.connect();
    let rung = 0;
    listener.on('notification', () => {
      rung++;
    });
    await listener.query('listen ruffinweb_emails');
    try {
      const { code, stdout, stderr } = await ruffinweb(['emails', 'resend', '--failed', '--kind', 'notification'], {
        DATABASE_URL: db.url,
      });
      expect(code).to.equal(0);
      expect(stdout.match(/ queued/g)).to.have.lengthOf(2);
      expect(stderr).to.include('2 emails queued');
      await until('the delivery is woken', () => rung > 0);
      expect(rung).to.equal(1);
    } finally {
      await listener.end();
    }
    expect(await db.emails()).to.deep.equal({ 'auto-reply failed': 2, 'notification queued': 2 });
    expect(await db.query('select id, kind, created_at from emails order by id')).to.deep.equal(before);
    const [queued] = await db.query(`select tries, failure, due_at <= now() as due from emails where state = 'queued'`);
    expect(queued).to.deep.equal({ tries: 0, failure: null, due: true });

    const sent = await settleDue(context, () => mailOutcomes.accepted);
    expect(sent).to.have.lengthOf(2);
    expect(await db.emails()).to.deep.equal({ 'auto-reply failed': 2, 'notification sent': 2 });
  });

  it('sends a failed email as the same mail, a sent one as a new', async () => {
    await buildMessages(context, 1);
    await settleDue(context, (email) => (email.kind === 'notification' ? mailOutcomes.refused : mailOutcomes.accepted));
    const [failed = '', sent = ''] = [...(await find(`state = 'failed'`)), ...(await find(`state = 'sent'`))];
    await using folder = await temporaryFolder();
    const settings = { DATA_DIR: folder.path };

    const resent = await runHere(['emails', 'resend', failed, sent, '--again', '--json'], db, { settings });
    const { items, dryRun } = JSON.parse(resent.stdout);
    const newId = items[1].newId;
    expect({ code: resent.code, dryRun }).to.deep.equal({ code: 0, dryRun: false });
    expect(items).to.deep.equal([
      { id: failed, result: 'queued', newId: null, code: null, reason: null },
      { id: sent, result: 'queued', newId, code: null, reason: 'was sent before' },
    ]);
    const delivered = await runHere(['deliver', '--once', '--json'], db, { settings });
    expect({ code: delivered.code, ...JSON.parse(delivered.stdout) }).to.deep.equal({
      code: 0,
      tries: 2,
      paused: null,
      due: 0,
    });

    const files = await readdir(join(folder.path, 'mail'));
    const mails = await Promise.all(
      files.map(async (it) => PostalMime.parse(await readFile(join(folder.path, 'mail', it)))),
    );
    const rows = await db.query<{ id: string; internet_message_id: string }>(
      'select id, internet_message_id from emails',
    );
    const messageIdOf = (id: string) => rows.find((row) => row.id === id)?.internet_message_id;
    expect(mails.map((it) => it.messageId)).to.have.members([messageIdOf(failed), messageIdOf(newId)]);
    expect(messageIdOf(newId)).to.not.equal(messageIdOf(sent));
    const { stdout } = await runHere(['emails', 'show', newId, '--json'], db);
    expect(JSON.parse(stdout)).to.include({ state: 'sent', resendOf: sent, to: 'ada@example.test' });
  });

  it('sends each email once if two operators resend at once', async () => {
    await buildMessages(context, 30);
    let n = 0;
    await settleDue(context, () => (n++ % 2 ? mailOutcomes.accepted : mailOutcomes.refused));
    const ids = await find('true');
    const failed = await find(`state = 'failed'`);
    const runs = await Promise.all(
      Array.from({ length: 6 }, (_, run) =>
        resendEmails(openScope(context), { ids: run % 2 ? ids : ids.toReversed(), again: true }),
      ),
    );
    for (const id of ids) {
      const results = runs.map((run) => run.find((it) => it.id === id)?.result);
      expect(results.toSorted(), id).to.deep.equal([...Array(5).fill('already-queued'), 'queued']);
    }
    const copies = await db.query(
      `select resend_of_id, count(*)::int from emails where resend_of_id is not null group by 1`,
    );
    expect(copies).to.have.lengthOf(ids.length - failed.length);
    expect(new Set(copies.map((it) => it.count))).to.deep.equal(new Set([1]));
  });

  it('sends once from two shells at once', async () => {
    await buildMessages(context, 1);
    await settleDue(context, () => mailOutcomes.accepted);
    const [id = ''] = await find(`kind = 'notification'`);
    const runs = await Promise.all(
      [1, 2].map(() => ruffinweb(['emails', 'resend', id, '--again', '--json'], { DATABASE_URL: db.url })),
    );
    const results = runs.map((it) => JSON.parse(it.stdout).items[0]);
    expect(results.map((it) => it.result)).to.have.members(['queued', 'already-queued']);
    expect(results[0].newId).to.equal(results[1].newId);
    expect(await find('resend_of_id is not null')).to.deep.equal([results[0].newId]);
  });

  it('rejects emails being sent, sent, held, cancelled or unknown', async () => {
    await buildMessages(context, 4);
    await db.query(`delete from emails where kind = 'auto-reply'`);
    const [leased = '', sent = '', held = '', cancelled = ''] = await find('true');
    await db.query(`update emails set due_at = now() + interval '1 hour' where id <> $1`, [leased]);
    await claimDue(openScope(context), 10);
    await past.sent(db, sent);
    await db.query(`update emails set state = 'held' where id = $1`, [held]);
    await past.cancelled(db, cancelled);

    const { code, items } = await resend(leased, sent, held, cancelled, unknownId, 'nothing');
    expect(code).to.equal(1);
    expect(items.map(({ result, code, reason }) => [result, code, reason])).to.deep.equal([
      ['refused', 'email-leased', 'is being sent at this moment'],
      ['refused', 'email-not-resendable', 'was sent: needs --again'],
      ['refused', 'email-not-resendable', 'its message is held'],
      ['refused', 'email-not-resendable', 'was cancelled: needs --again'],
      ['not-found', 'email-unknown', 'there is no such email'],
      ['not-found', 'email-unknown', 'there is no such email'],
    ]);
    expect(await db.emails()).to.deep.equal({
      'notification cancelled': 1,
      'notification held': 1,
      'notification queued': 1,
      'notification sent': 1,
    });
  });

  it('makes a waiting email due now, with a full retry schedule', async () => {
    await using smtp = await startSmtpServer();
    await using folder = await temporaryFolder();
    const settings = {
      DATA_DIR: folder.path,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      MAIL_FROM: 'a@b.test',
    };
    const deliver = async () => {
      const { stdout } = await runHere(['deliver', '--once', '--json'], db, { settings });
      return JSON.parse(stdout).tries;
    };
    await buildMessages(context, 3);
    smtp.answer('mail', '450 4.3.0 not now', { times: 6 });
    expect([await deliver(), await deliver()]).to.deep.equal([6, 0]);
    const [id = '', other = ''] = await find(`kind = 'notification'`);
    const { stderr } = await runHere(['emails', 'show', id], db);
    expect(stderr).to.equal(`\nTo send it now: ruffinweb emails resend ${id}\n`);
    expect((await runHere(['emails', 'resume'], db)).stderr).to.match(/^6 wait .* ruffinweb emails resend --queued\n$/);

    const again = await resend(id);
    expect(again.code).to.equal(0);
    expect(again.items[0]?.reason).to.match(/^due now, was due in (\d+ s|1 min)$/);
    expect(again.items).to.deep.include({ ...again.items[0], id, result: 'queued', newId: null, code: null });
    expect((await resend(id)).items[0]).to.include({ result: 'already-queued', reason: 'was queued already' });
    const tries = await db.query('select tries from emails where id = any($1) order by id', [[id, other]]);
    expect(tries).to.deep.equal([{ tries: 0 }, { tries: 1 }]);
    expect(await deliver()).to.equal(1);

    await past.leased(db, other);
    expect((await resend(other)).items[0]).to.include({ result: 'refused', code: 'email-leased' });
    const dry = await runHere(['emails', 'resend', '--queued', '--kind', 'auto-reply', '--dry-run'], db);
    expect(dry.stdout.match(/would be queued/g)).to.have.lengthOf(3);
    expect(await deliver()).to.equal(0);
    const all = await runHere(['emails', 'resend', '--queued'], db, { columns: 80, types: 'y\n' });
    expect(all.stderr).to.include('Send 4 waiting emails now? [y/N]').and.include('4 emails queued');
    expect(await deliver()).to.equal(4);
    await db.query(`update emails set lease_token = null where id = $1`, [other]);
    expect((await resend('--queued')).items.map((it) => it.id)).to.deep.equal([other]);
    expect(await deliver()).to.equal(1);
    expect(await db.emails()).to.deep.equal({ 'auto-reply sent': 3, 'notification sent': 3 });
    const empty = await runHere(['emails', 'resend', '--queued'], db);
    expect(empty.stderr).to.equal('No email waits for a retry: nothing to send now.\n');
  });

  it('says that nothing is sent while the queue is paused', async () => {
    await buildMessages(context, 1);
    await settleDue(context, () => mailOutcomes.later);
    await runHere(['emails', 'pause', '--reason', 'moving'], db);
    const { stdout, stderr } = await runHere(['emails', 'resend', '--queued'], db);
    expect(stdout.match(/RW-\w{10} .* queued /g)).to.have.lengthOf(2);
    expect(stderr).to.match(/paused by hand: moving, (just now|for \d+ s)\.\n/);
    for (const [code, ...wait] of [[0], [1, '--wait'], [0, '--wait', '--until', '2000-01-01']] as const) {
      const due = await runHere(['emails', 'resend', '--queued', ...wait], db);
      expect([due.code, due.stdout], wait.join(' ')).to.deep.equal([code, '']);
      expect(due.stderr)
        .to.include(
          wait.length > 1 ? 'No email waits' : '2 emails are due already: nothing to send sooner.\nNothing is sent',
        )
        .and.include(wait.length > 1 ? '' : '→ ruffinweb emails resume');
    }
    await db.query(
      `insert into emails (id, kind, state, recipient, due_at, tries, internet_message_id, created_at)
       values ($1, 'held-summary', 'queued', 'owner@localhost', now(), 0, 'summary', now())`,
      [unknownId],
    );
    expect((await runHere(['emails', 'list'], db, { columns: 80 })).stdout).to.include(unknownId);
    for (const show of [
      ['messages', 'show', 'latest'],
      ['emails', 'show', 'latest'],
    ])
      expect((await runHere(show, db)).stderr, show.join(' ')).to.match(/^Nothing is sent: .*moving/);
    await runHere(['emails', 'resume'], db);
  });

  it('--to sends lost notifications to another address once', async () => {
    await buildRefusedByTwo(2);
    const told = await runHere(['emails', 'resend', '--failed', '--to', 'right@site.test', '--dry-run'], db);
    expect(told.stderr, 'no advice to send it to the wrong address').to.equal(
      '\n2 emails would be queued; nothing was changed\n',
    );
    const dry = await resend('--failed', '--to', 'right@site.test', '--dry-run');
    const { code, items } = await resend('--failed', '--to', 'right@site.test');
    expect(code).to.equal(0);
    expect(items.map((it) => it.result).toSorted()).to.deep.equal(['queued', 'queued', 'skipped', 'skipped']);
    expect(
      dry.items.map((it) => it.result),
      'what was announced',
    ).to.deep.equal(items.map((it) => it.result));
    const queued = await db.query(
      `select recipient, message_id from emails where state = 'queued' order by message_id`,
    );
    expect(queued.map((it) => it.recipient)).to.deep.equal(['right@site.test', 'right@site.test']);
    expect(new Set(queued.map((it) => it.message_id)).size).to.equal(2);
    expect(await db.emails()).to.deep.equal({
      'auto-reply failed': 2,
      'notification cancelled': 4,
      'notification queued': 2,
    });
    await settleDue(context, () => mailOutcomes.accepted);
    const [sent = ''] = await find(`state = 'sent'`);
    const [reply = ''] = await find(`kind = 'auto-reply'`);
    const named = await resend(sent, reply, '--to', 'third@site.test', '--again');
    expect(named.items.map((it) => [it.result, it.reason])).to.deep.equal([
      ['queued', 'was sent before'],
      ['refused', 'only a notification goes to another address'],
    ]);
    const copies = [named.items[0]?.newId];
    expect(await find(`state = 'queued' and recipient = 'third@site.test'`)).to.deep.equal(copies);
    const twice = await resend(sent, '--to', 'third@site.test', '--again');
    expect(twice.items.map((it) => [it.result, it.newId])).to.deep.equal([['already-queued', ...copies]]);
    expect(await find(`state = 'queued' and recipient = 'third@site.test'`)).to.deep.equal(copies);
    for (const [args, said] of [
      [[sent, '--to', 'nobody'], '"nobody" is not an e-mail address'],
      [['--failed', '--kind', 'auto-reply', '--to', 'a@site.test'], '--to is for notifications'],
    ] as const) {
      const misused = await runHere(['emails', 'resend', ...args], db);
      expect(misused.code).to.equal(2);
      expect(misused.stderr).to.include(said);
    }
  });

  it('--to sends one mail per message, even if run twice', async () => {
    for (let round = 0; round < 5; round++) {
      await buildRefusedByTwo(1);
      const ids = await find(`kind = 'notification'`);
      const runs = await Promise.all(
        ids.map((id) => resendEmails(openScope(context), { ids: [id], to: 'right@site.test' })),
      );
      expect(runs.flatMap((it) => it.map(({ result }) => result)).toSorted()).to.deep.equal(['queued', 'skipped']);
      expect(await find(`state = 'queued'`)).to.have.lengthOf(1);
      await db.empty();
    }
  });

  it('--queued --to includes due mail, even during a pause', async () => {
    await buildMessages(context, 2);
    const [first = ''] = await find(`kind = 'notification'`);
    await db.query(`update emails set due_at = now() + interval '1 hour', tries = 1 where id = $1`, [first]);
    await runHere(['emails', 'pause', '--reason', 'moving'], db);
    const { code, items } = await resend('--queued', '--to', 'right@site.test');
    expect({ code, results: items.map((it) => it.result) }).to.deep.equal({ code: 0, results: ['queued', 'queued'] });
    expect(await db.emails()).to.deep.equal({
      'auto-reply queued': 2,
      'notification cancelled': 2,
      'notification queued': 2,
    });
    expect(await find(`state = 'queued' and recipient <> 'right@site.test'`)).to.deep.equal([]);
    const again = await runHere(['emails', 'resend', '--queued', '--to', 'right@site.test'], db);
    expect(again).to.include({ code: 0, stdout: '' });
    expect(again.stderr).to.include('goes to another address').and.include('paused by hand: moving');
    await runHere(['emails', 'resume'], db);
  });

  it('replaces a cancelled notification, and no other kind', async () => {
    await buildMessages(context, 1);
    const [notification = '', reply = ''] = [
      ...(await find(`kind = 'notification'`)),
      ...(await find(`kind = 'auto-reply'`)),
    ];
    await runHere(['emails', 'cancel', notification, reply], db);
    const { code, items } = await resend(notification, reply, '--again');
    expect(code).to.equal(1);
    expect(items.map(({ result, reason }) => [result, reason])).to.deep.equal([
      ['queued', 'was cancelled before'],
      ['refused', 'was cancelled, and only a notification or a reply is sent then'],
    ]);
    const copies = await find(`state = 'queued' and resend_of_id = '${notification}'`);
    expect(copies).to.deep.equal([items[0]?.newId]);
    await past.held(db);
    expect((await resend(notification, '--again')).items[0]?.reason).to.equal('its message is held');
  });

  it('needs id and --again if an auto-reply may have arrived', async () => {
    await buildMessages(context, 1);
    await settleDue(context, () => mailOutcomes.unknown);
    const [id = ''] = await find(`kind = 'auto-reply'`);
    expect((await resend('--failed')).items).to.deep.equal([
      { id, result: 'skipped', newId: null, code: null, reason: 'may have arrived' },
    ]);
    expect(await resend(id)).to.deep.include({ code: 1 });
    expect(await db.emails()).to.deep.equal({ 'auto-reply failed': 1, 'notification queued': 1 });
    expect(await resend(id, '--again')).to.deep.include({ code: 0 });
    expect(await find('resend_of_id is not null')).to.deep.equal([]);
    expect(await db.emails()).to.deep.equal({ 'auto-reply queued': 1, 'notification queued': 1 });
  });

  it('changes nothing in a dry run, and says what it would do', async () => {
    await buildMessages(context, 3);
    await settleDue(context, (email) => (email.kind === 'notification' ? mailOutcomes.refused : mailOutcomes.accepted));
    const before = await db.query('select * from emails order by id');
    const locked = await db.lockRows('emails');
    const dry = await runHere(['emails', 'resend', '--failed', '--since', '1d', '--dry-run'], db);
    expect(dry.code).to.equal(0);
    expect(dry.stdout.match(/would be queued/g)).to.have.lengthOf(3);
    expect(dry.stderr).to.include('nothing was changed');
    const sent = await find(`state = 'sent'`);
    const { items } = await resend(...sent, '--again', '--dry-run');
    expect(items.map((it) => [it.result, it.newId])).to.deep.equal(sent.map(() => ['queued', null]));
    await locked.release();
    expect(await db.query('select * from emails order by id')).to.deep.equal(before);
  });

  it('shows what each email is about, at 80 columns too', async () => {
    await buildMessages(context, 2);
    await settleDue(context, (it) => (it.kind === 'notification' ? mailOutcomes.refused : mailOutcomes.later));
    await db.query(`insert into emails (id, kind, state, recipient, due_at, tries, internet_message_id, created_at)
      select gen_random_uuid(), 'held-summary', state, recipient, due_at, tries, 'summary', created_at
      from emails where kind = 'notification' limit 1`);
    const ids = await find('true');
    const run = async (...args: string[]) => {
      const { stdout, stderr } = await runHere(['emails', ...args, ...ids], db, { columns: 80 });
      return { lines: withoutColours(stdout).trim().split('\n'), stderr };
    };
    for (const command of ['resend', 'cancel']) {
      const dry = await run(command, '--dry-run');
      expect(dry.lines).to.have.lengthOf(6);
      for (const line of dry.lines) expect(line.length, line).to.be.at.most(80);
      expect(dry.lines.join('\n'))
        .to.match(/owner@local\S+ .*RW-\w{10} .*would be/)
        .and.match(/550 5.1/)
        .and.match(/owner@local\S+ +held-summary +would be/);
      expect((await run(command, '--dry-run', '--mask')).lines.join('\n')).to.not.match(/owner|ada/);
      if (command === 'resend') {
        expect(dry.stderr).to.include('2 of these were refused for good (550)');
        const elsewhere = await run(command, '--to', 'eve@site.test', '--dry-run', '--mask', '--json');
        expect(elsewhere.lines.join('\n')).to.include('instead of one to o***@localhost').and.not.include('owner');
      }
    }
    const wide = withoutColours(
      (await runHere(['emails', 'cancel', ...ids, '--dry-run'], db, { columns: 200 })).stdout,
    );
    expect(wide).to.match(
      /owner@localhost +notification +RW-\w{10} +550 5.1.1 no such user +would be cancelled +failed +\S{36}$/m,
    );
    expect(await db.emails()).to.deep.equal({
      'auto-reply queued': 2,
      'held-summary failed': 1,
      'notification failed': 2,
    });
  });

  it('--wait ends when all are sent or failed, with a fitting exit code', async () => {
    await buildMessages(context, 1);
    await settleDue(context, () => mailOutcomes.refused);
    const settings = { DATABASE_URL: db.url };
    const [failed] = await find(`kind = 'notification'`);
    await pauseQueue(openScope(context), 'hand', null);
    await using waiting = await RunningServer.startCommand(['emails', 'resend', failed ?? '', '--wait'], settings);
    await waiting.said(/Nothing is sent: the queue was paused by hand/);
    await resumeQueue(openScope(context));
    await settleDue(context, () => mailOutcomes.later);
    await db.makeAllDue();
    await settleDue(context, () => mailOutcomes.accepted);
    await waiting.said(/1 email sent/);
    expect(await waiting.ended).to.deep.equal([0, null]);

    await using stopped = await RunningServer.startCommand(
      ['emails', 'resend', '--failed', '--wait', '--json'],
      settings,
    );
    await until('it is queued', async () => (await find(`state = 'queued'`)).length === 1);
    const refused = runHere(['emails', 'resend', ...(await find(`state = 'queued'`)), '--wait'], db);
    expect(await stopped.stop('SIGINT')).to.deep.equal({ code: 130, signal: null });
    expect(stopped.log).to.include('1 email not sent yet, and still queued');
    expect(JSON.parse(stopped.output).waited).to.deep.equal({ sent: 0, queued: 1 });
    // It may take the email up before or after this is refused.
    let ended = false;
    void refused.finally(() => {
      ended = true;
    });
    await until('it gives up', async () => {
      await settleDue(context, () => mailOutcomes.refused);
      return ended;
    });
    const { code, stderr } = await refused;
    expect(code).to.equal(1);
    expect(stderr).to.include('0 emails sent, 1 not: ruffinweb emails list --state failed');
  });

  it('stays within the limits of its query', async () => {
    await buildMessages(context, 3);
    await settleDue(context, () => mailOutcomes.refused);
    expect((await resend('--failed', '--until', '1h')).items).to.deep.equal([]);
    expect((await resend('--failed', '--form', 'contact', '--kind', 'auto-reply', '--dry-run')).items).to.have.lengthOf(
      3,
    );
    const empty = await runHere(['emails', 'resend', '--failed', '--since', '2030-01-01'], db);
    expect(empty).to.deep.equal({ code: 0, stdout: '', stderr: 'No failed email matches: nothing to send again.\n' });
    expect((await runHere(['emails', 'resend', '--failed', '--form', 'nothing'], db)).code).to.equal(1);
    for (const misuse of [
      ['--again', '--failed'],
      [unknownId, '--failed'],
      [unknownId, '--kind', 'notification'],
      ['--since', '1d'],
      ['--failed', '--queued'],
      ['--again', '--queued'],
      [unknownId, '--queued'],
    ]) {
      expect((await runHere(['emails', 'resend', ...misuse], db)).code, misuse.join(' ')).to.equal(2);
    }
    expect(await find(`state = 'queued'`)).to.deep.equal([]);
  });

  it('asks before resending a query, on a terminal', async () => {
    await buildMessages(context, 3);
    await settleDue(context, () => mailOutcomes.refused);
    const args = ['emails', 'resend', '--failed'];
    const no = await runHere(args, db, { columns: 80, types: '\n' });
    expect(no.code).to.equal(1);
    expect(no.stdout.match(/would be queued/g), 'what would be sent').to.have.lengthOf(6);
    expect(no.stderr).to.include('6 of these were refused for good (550) and will probably fail again.');
    expect(no.stderr).to.include('Send 6 failed emails again? [y/N]').and.to.include('nothing was changed');
    const [end, interrupt] = [
      await runHere(args, db, { columns: 80, types: '\u0004' }),
      await runHere(args, db, { columns: 80, types: '\u0003' }),
    ];
    expect([end.code, interrupt.code]).to.deep.equal([1, 130]);
    expect(await find(`state = 'queued'`)).to.have.lengthOf(0);
    const yes = await runHere(args, db, { columns: 80, types: 'y\n' });
    expect(yes.code).to.equal(0);
    expect(await find(`state = 'queued'`)).to.have.lengthOf(6);
    await settleDue(context, () => mailOutcomes.refused);
    const unasked = await runHere([...args, '--yes'], db, { columns: 80 });
    expect(unasked.stderr).to.not.include('?');
    expect(await find(`state = 'queued'`)).to.have.lengthOf(6);
  });
});
