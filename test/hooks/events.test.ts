import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import pg from 'pg';
import { listen } from '../../src/database/listener.ts';
import type { MailingContext } from '../../src/mailing-context.ts';
import { claimDue } from '../../src/services/delivery/claim-due.ts';
import { decideNextStep } from '../../src/services/delivery/retry-schedule.ts';
import { settleEmails } from '../../src/services/delivery/settle-emails.ts';
import { queueReply } from '../../src/services/emails/queue-reply.ts';
import { removeHook } from '../../src/services/hooks/hooks.ts';
import { purge } from '../../src/services/maintenance/purge.ts';
import { holdMessage } from '../../src/services/messages/change-message.ts';
import { hookChannel } from '../../src/services/outbox.ts';
import { openScope } from '../../src/services/scope.ts';
import { signReleaseLink } from '../../src/services/signed-links.ts';
import { runHere } from '../cli/terminal.ts';
import { type Client, submission } from '../support/api.ts';
import { buildMessages, mailOutcomes, settleDue } from '../support/build.ts';
import { openTestMailing } from '../support/context.ts';
import type { TestDatabase } from '../support/database.ts';
import * as past from '../support/past.ts';
import { type Api, openApi } from '../support/server-here.ts';
import { until } from '../support/until.ts';

const everyEvent = ['message.accepted', 'message.held', 'message.released', 'email.failed'];

describe("a hook's deliveries", () => {
  let api: Api;
  let db: TestDatabase;
  let http: Client;
  let context: MailingContext;

  before(async () => {
    api = await openApi({ NOTIFY_TO: 'owner@site.test' });
    ({ db, http } = api);
    context = await openTestMailing(db, { NOTIFY_TO: 'owner@site.test', RETENTION_DAYS: '7' });
    await runHere(['forms', 'add', 'shop'], db);
    await runHere(['forms', 'add', 'gone'], db);
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await api[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    await db.empty();
    await db.query('truncate recent_posts, message_keys');
  });

  const addHook = async (name: string, changes: { state?: string; events?: string[]; forms?: string[] } = {}) => {
    await db.query(
      `insert into hooks (id, name, kind, state, url, events, form_ids, created_at)
       select gen_random_uuid(), $1, 'webhook', $2, 'x', $3,
         case when $4::text[] is not null then array(select id from forms where slug = any($4)) end, now()`,
      [name, changes.state ?? 'active', changes.events ?? everyEvent, changes.forms ?? null],
    );
  };
  /** Each delivery as `hook event`, in the order of the hooks' names and of the events. */
  const told = async (): Promise<string[]> => {
    const rows = await db.query<{ line: string }>(
      `select hooks.name || ' ' || event as line from hook_deliveries join hooks on hooks.id = hook_id
       order by hooks.name, hook_deliveries.created_at, event`,
    );
    return rows.map((it) => it.line);
  };
  const forget = async () => await db.query('delete from hook_deliveries');
  const post = async (changes: Record<string, unknown> = {}, headers = {}, form = 'contact') => {
    const answer = await http.post(`/api/forms/${form}/messages`, submission(changes), headers);
    expect(answer.status, answer.text).to.equal(201);
    return answer.json as { id: string; receipt: string };
  };

  it('are stored with the post, for each hook that wants it', async () => {
    await addHook('all');
    await addHook('paused', { state: 'paused' });
    await addHook('contact', { forms: ['contact', 'shop'] });
    await addHook('untested', { state: 'untested' });
    await addHook('off', { state: 'gone' });
    await addHook('shop', { forms: ['shop'] });
    await addHook('none', { forms: [] });
    await addHook('failures', { events: ['email.failed'] });
    const { id } = await post();
    const names = ['all', 'contact', 'paused'];
    expect(await told()).to.deep.equal(names.map((it) => `${it} message.accepted`));
    const rows = await db.query<{ id: string }>(
      `select hook_deliveries.id, message_id, email_id, hook_deliveries.state, tries,
         hook_deliveries.created_at = received_at and due_at = received_at as in_time,
         substr(hook_deliveries.id::text, 1, 13) as ms, lpad(to_hex((extract(epoch from received_at) * 1000)::bigint), 12, '0') as at
       from hook_deliveries join messages on messages.id = message_id`,
    );
    for (const { id: delivery, ms, at, ...row } of rows as { id: string; ms: string; at: string }[]) {
      expect(row).to.deep.equal({ message_id: id, email_id: null, state: 'queued', tries: 0, in_time: true });
      expect(delivery).to.match(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      expect(ms.replace('-', '')).to.equal(at);
    }
    expect(new Set(rows.map((it) => it.id)).size).to.equal(3);
  });

  it('say of a held post that it is held, whatever holds it', async () => {
    await addHook('all');
    await addHook('usual', { events: ['message.accepted', 'message.released', 'email.failed'] });
    await post({ _gotcha: 'x' });
    await post({ email: 'eve@example.test' });
    await db.query('update senders set blocked_at = now()');
    await post({ email: 'eve@example.test', message: 'Again' });
    expect(await told()).to.deep.equal([
      'all message.held',
      'all message.accepted',
      'all message.held',
      'usual message.accepted',
    ]);
  });

  it('exist once for a repeated post, also while its form changes', async () => {
    await addHook('all');
    const keyed = { 'Idempotency-Key': 'one' };
    const all = await Promise.all([
      ...Array.from({ length: 10 }, () => post({}, keyed)),
      ...Array.from({ length: 10 }, () => post({ message: 'Twice' })),
      runHere(['forms', 'change', 'contact', '--name', 'Another'], db),
    ]);
    expect(new Set(all.slice(0, 20).map((it) => (it as { id: string }).id)).size).to.equal(2);
    await runHere(['forms', 'change', 'contact', '--name', 'A third'], db);
    await post({}, keyed);
    await post({ message: 'Twice' });
    expect(await told()).to.deep.equal(['all message.accepted', 'all message.accepted']);
  });

  it('are each of their own for posts of one statement', async () => {
    await addHook('all');
    await addHook('shop', { forms: ['shop'] });
    await Promise.all(
      Array.from({ length: 20 }, (_, n) => post({ message: `${n}` }, {}, n % 2 === 0 ? 'contact' : 'shop')),
    );
    const [row] = await db.query(
      'select count(*)::int, count(distinct (hook_id, message_id))::int from hook_deliveries',
    );
    expect(Object.values(row ?? {})).to.deep.equal([30]);
    expect((await told()).filter((it) => it.startsWith('shop'))).to.have.lengthOf(10);
  });

  it('begin with the next post after the hook was added, and wake the workers', async () => {
    await post();
    const notices: number[] = [];
    await using _listening = listen({ databaseUrl: db.url, notices: { [hookChannel]: () => notices.push(1) } });
    // The first one is about the connection.
    await until('the listener is connected', () => notices.length === 1);
    await addHook('new');
    await post({ message: 'Second' });
    expect(await told()).to.deep.equal(['new message.accepted']);
    await until('a notice arrives', () => notices.length === 2);
  });

  it('of a hook that is removed at that moment fail no post', async () => {
    await addHook('all');
    const remover = new pg.Client(db.url);
    await remover.connect();
    await remover.query('begin; delete from hooks');
    const posted = post();
    await db.waitingForLocks(1);
    await remover.query('commit');
    await remover.end();
    await posted;
    expect(await told()).to.deep.equal([]);
    expect(await db.count('messages')).to.equal(1);
  });

  it('of a hook that is removed with many others keep no post waiting', async () => {
    await addHook('all');
    await post();
    const worker = await db.lockRows('hook_deliveries');
    const removed = removeHook(openScope(context), 'all');
    await db.waitingForLocks(1);
    await post({ message: 'Meanwhile' });
    await worker.release();
    await removed;
    expect(await told()).to.deep.equal([]);
    expect(await db.query('select from hooks')).to.deep.equal([]);
  });

  describe('tell when a message', () => {
    const key = async () => {
      const { stdout } = await runHere(
        ['keys', 'create', '--name', randomUUID(), '--scope', 'read', 'write', '--json'],
        db,
      );
      return { Authorization: `Bearer ${JSON.parse(stdout).key}` };
    };
    const change = async (id: string, verb: string) =>
      expect((await http.post(`/api/messages/${id}/${verb}`, {}, await key())).status).to.equal(200);
    const run = async (...args: string[]) =>
      expect((await runHere(['messages', ...args], db)).code, args.join(' ')).to.equal(0);
    const link = async (id: string) => {
      const [row] = await db.query<{ at: Date }>('select received_at as at from messages where id = $1', [id]);
      const heldSince = row?.at.getTime() ?? 0;
      const token = signReleaseLink(context.keyring, { message: id, heldSince, endsAt: Date.now() + 60_000 });
      const answer = await http.send(`/release?token=${token}`, { method: 'POST' });
      expect(answer.status, answer.text).to.equal(200);
    };
    for (const [title, act, event] of [
      ['is released by hand', (id: string) => run('release', id), 'released'],
      ['is released with all others', () => run('release', '--all', '--yes'), 'released'],
      ['is released over HTTP', (id: string) => change(id, 'release'), 'released'],
      ['is released by a link', link, 'released'],
      ['is held by hand', (id: string) => run('hold', id), 'held'],
      ['is held over HTTP', (id: string) => change(id, 'hold'), 'held'],
    ] as const) {
      it(`${title}, and only the first time`, async () => {
        await addHook('all');
        await addHook('shop', { forms: ['shop'] });
        const { id } = await post(event === 'released' ? { _gotcha: 'x' } : {});
        await forget();
        await act(id);
        if (event === 'held' || title.includes('hand')) await act(id);
        expect(await told()).to.deep.equal([`all message.${event}`]);
        expect(await db.query('select message_id from hook_deliveries')).to.deep.equal([{ message_id: id }]);
      });
    }
  });

  it('are cancelled when their message is held by hand before they leave', async () => {
    await addHook('all');
    const [sent, held, sending] = [await post(), await post({ message: '2' }), await post({ message: '3' })];
    await db.query(`update hook_deliveries set state = 'sent' where message_id = $1`, [sent.id]);
    const lease = `update hook_deliveries set lease_token = gen_random_uuid(), due_at = now() + $2 * interval '1 minute'
      where message_id = $1`;
    await db.query(lease, [held.id, -1]);
    await db.query(lease, [sending.id, 1]);
    await settleDue(context, () => mailOutcomes.accepted);
    for (const { id } of [sent, held, sending]) await holdMessage(openScope(context), id);
    const states = async () => {
      const rows = await db.query(
        `select event || ' ' || hook_deliveries.state as line from hook_deliveries where message_id = any($1) order by message_id, event`,
        [[sent.id, held.id, sending.id]],
      );
      return rows.map((it) => it.line);
    };
    expect(await states()).to.deep.equal([
      ...['message.accepted sent', 'message.held queued', 'message.accepted cancelled', 'message.held queued'],
      ...['message.accepted queued', 'message.held queued'],
    ]);
    expect((await runHere(['messages', 'release', held.id], db)).code).to.equal(0);
    await holdMessage(openScope(context), held.id);
    expect((await states()).filter((it) => it.startsWith('message.released'))).to.deep.equal([
      'message.released cancelled',
    ]);
  });

  describe('tell when an email failed', () => {
    const sent = async () =>
      await db.query('select event, message_id, email_id from hook_deliveries order by email_id');

    beforeEach(async () => {
      await addHook('all');
      await addHook('contact', { forms: ['contact'], events: ['email.failed'] });
      await addHook('shop', { forms: ['shop'] });
    });

    it('because it was refused or its schedule ended, not because it is retried', async () => {
      const [message] = await buildMessages(context, 1);
      await forget();
      await settleDue(context, () => mailOutcomes.later);
      expect(await told()).to.deep.equal([]);
      await db.makeAllDue();
      const failed = await settleDue(context, ({ kind }) =>
        kind === 'notification' ? mailOutcomes.refused : mailOutcomes.accepted,
      );
      expect(await told()).to.deep.equal(['all email.failed', 'contact email.failed']);
      const notification = failed.find((it) => it.kind === 'notification')?.id;
      expect(await sent()).to.deep.equal(
        Array(2).fill({ event: 'email.failed', message_id: message?.id, email_id: notification }),
      );
    });

    it('not if its worker had lost the lease', async () => {
      await buildMessages(context, 1);
      await forget();
      const scope = openScope(context);
      const { rows } = await claimDue(scope, 10);
      await db.query('update emails set lease_token = gen_random_uuid()');
      const outcome = mailOutcomes.refused;
      const settlements = rows.map((email) => ({
        ...{ row: email, outcome, startedAt: scope.now(), next: decideNextStep(email, outcome, 0) },
      }));
      expect((await settleEmails(scope, settlements)).size).to.equal(0);
      expect(await told()).to.deep.equal([]);
    });

    it('because its worker was lost, when it is claimed or held', async () => {
      const [first, second] = await buildMessages(context, 2);
      await settleDue(context, () => mailOutcomes.accepted);
      const options = { text: 'Hello', copy: false, evenSo: false, again: false, dryRun: false };
      for (const it of [first, second]) await queueReply(openScope(context), it?.id ?? '', options);
      await db.makeAllDue();
      expect((await claimDue(openScope(context), 10)).rows).to.have.lengthOf(2);
      await db.query('update emails set unsent_token = null');
      await forget();
      await db.makeAllDue();
      await holdMessage(openScope(context), first?.id ?? '');
      expect(await told()).to.deep.equal(['all email.failed', 'all message.held', 'contact email.failed']);
      await forget();
      expect((await claimDue(openScope(context), 10)).givenUp).to.have.lengthOf(1);
      expect(await told()).to.deep.equal(['all email.failed', 'contact email.failed']);
      expect((await sent()).map((it) => it.message_id)).to.deep.equal([second?.id, second?.id]);
    });

    it('also a summary, which is about no form', async () => {
      await db.query(
        `insert into emails (id, kind, state, recipient, due_at, internet_message_id, created_at, covers_until)
         values (gen_random_uuid(), 'held-summary', 'queued', 'owner@site.test', now(), '<x@site.test>', now(), now())`,
      );
      const [summary] = await settleDue(context, () => mailOutcomes.refused);
      expect(await told()).to.deep.equal(['all email.failed']);
      expect(await sent()).to.deep.equal([{ event: 'email.failed', message_id: null, email_id: summary?.id }]);
    });

    it('beside a summary that was sent', async () => {
      await buildMessages(context, 1);
      await forget();
      await db.query(
        `insert into emails (id, kind, state, recipient, due_at, internet_message_id, created_at, covers_until)
         values (gen_random_uuid(), 'held-summary', 'queued', 'owner@site.test', now(), '<x@site.test>', now(), now())`,
      );
      const settled = await settleDue(context, ({ kind }) =>
        kind === 'notification' ? mailOutcomes.refused : mailOutcomes.accepted,
      );
      expect(settled).to.have.lengthOf(3);
      expect(await told()).to.deep.equal(['all email.failed', 'contact email.failed']);
    });
  });

  describe('go with what they are about', () => {
    for (const [title, act] of [
      ['a message is deleted', (id: string) => runHere(['messages', 'delete', id, '--yes'], db)],
      ['a sender is erased', () => runHere(['senders', 'erase', '--email', 'ada@example.test', '--yes'], db)],
      [
        'a message expires',
        async (id: string) => {
          const older = await db.age(id, 8);
          await db.query('update hook_deliveries set message_id = $1', [older]);
          await past.sent(db);
          await purge(openScope(context), new AbortController().signal);
        },
      ],
    ] as const) {
      it(title, async () => {
        await addHook('all');
        const { id } = await post();
        await db.makeAllDue();
        await settleDue(context, () => mailOutcomes.refused);
        expect(await told()).to.have.lengthOf(3);
        await act(id);
        expect(await db.count('messages')).to.equal(0);
        expect(await told()).to.deep.equal([]);
      });
    }

    it('but a form that a hook is limited to can be deleted', async () => {
      await addHook('limited', { forms: ['gone', 'contact'] });
      expect((await runHere(['forms', 'delete', 'gone', '--yes'], db)).code).to.equal(0);
      await post();
      expect(await told()).to.deep.equal(['limited message.accepted']);
    });
  });
});
