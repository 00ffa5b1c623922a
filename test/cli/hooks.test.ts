import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { newId } from '../../src/services/ids.ts';
import { buildMessages } from '../support/build.ts';
import { buildDelivery } from '../support/build-delivery.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/program.ts';
import { Receiver } from '../support/receiver.ts';
import { runHere } from './terminal.ts';

const settings = { HOOK_ALLOW_HOSTS: '127.0.0.1' };
const esc = '\u001b';

describe('hooks', () => {
  let db: TestDatabase;
  let context: Context;
  let receiver: Receiver;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db);
    receiver = await Receiver.open();
    folder = await temporaryFolder();
    await db.query(`insert into forms (id, slug) values ($1, 'shop')`, [newId()]);
  });
  after(async () => {
    await receiver[Symbol.asyncDispose]();
    await folder[Symbol.asyncDispose]();
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  beforeEach(async () => {
    await db.query('delete from hooks');
    receiver.ledger.length = 0;
    receiver.always = {};
  });

  const urlOf = (path: string) => receiver.url + path;
  const run = (...args: string[]) => runHere(['hooks', ...args], db, { settings });
  const json = async (...args: string[]) => {
    const { code, stdout, stderr } = await run(...args, '--json');
    return { code, stderr, value: stdout === '' ? undefined : JSON.parse(stdout) };
  };
  const add = async (...args: string[]) => {
    const { value } = await json('add', urlOf('/secret-path?token=abc'), '--allow-http', ...args);
    return value;
  };
  const stateOf = async (name: string) => (await json('show', name)).value.state;

  it('are tested, and show a secret once that signs the test', async () => {
    const { code, stdout, stderr } = await run('add', urlOf('/a?token=abc'), '--allow-http', '--name', 'own');
    expect(code).to.equal(0);
    expect(stdout).to.match(/^whsec_[\w+/]{43}=\n$/);
    expect(stderr).to.include('shown only this time').and.include('The hook "own" accepted the test and is active.');
    const [first] = receiver.ledger;
    expect(first?.headers['webhook-signature']).to.match(/^v1,/);
    for (const args of [['list'], ['show', 'own'], ['list', '--json'], ['show', 'own', '--json']]) {
      const shown = await run(...args);
      expect(shown.stdout, args.join(' '))
        .to.include('127.0.0.1')
        .and.not.match(/token|abc|whsec_/);
    }
    const [row] = await db.query<{ text: string }>('select hooks::text as text from hooks');
    for (const secret of [stdout.trim(), urlOf('/a')]) {
      expect(row?.text).to.not.include(Buffer.from(secret).toString('hex'));
    }
  });

  it('stay untested until a test is answered with 2xx, or by --untested', async () => {
    receiver.always = { status: 500, body: `no${esc}[31m` };
    const refused = await run('add', urlOf('/x'), '--allow-http', '--name', 'first');
    expect(refused.code).to.equal(4);
    expect(refused.stdout).to.match(/^whsec_/);
    expect(refused.stderr).to.include('500 no').and.include('ruffinweb hooks test first').and.not.include(esc);
    expect(await stateOf('first')).to.equal('untested');
    const again = await json('test', 'first');
    expect(again).to.include({ code: 4, stderr: '' });
    expect(again.value.test).to.include({ result: 'later', code: 500 });
    receiver.always = { status: 204 };
    expect(await run('test', 'first')).to.deep.equal({
      code: 0,
      stdout: '',
      stderr: 'The hook "first" accepted the test and is active.\n',
    });
    receiver.always = { status: 302, headers: { Location: urlOf('/y') }, body: 'a\nThe hook "first" is active.' };
    const moved = await run('test', 'first');
    expect([moved.code, moved.stderr.split('\n')[0]]).to.deep.equal([
      4,
      'The hook "first" did not accept the test: 302 a The hook "first" is active.',
    ]);
    receiver.always = 'reset';
    expect(await add('--name', 'second', '--untested')).to.include({ state: 'active', test: null });
  });

  it('get a name of their kind or host, and the default events', async () => {
    const ntfy = urlOf('/topic');
    const made = [];
    made.push((await add('--untested')).name);
    for (const args of [
      ['--ntfy'],
      ['--ntfy', '--name', 'two', '--events', 'message.held', 'email.failed', '--form', 'shop', 'contact'],
    ]) {
      const { value } = await json('add', ntfy, '--allow-http', '--untested', ...args);
      made.push([value.name, value.kind, value.events, value.forms, value.secret]);
    }
    expect(made).to.deep.equal([
      '127.0.0.1',
      ['ntfy', 'ntfy', ['message.accepted', 'message.released', 'email.failed'], null, null],
      ['two', 'ntfy', ['message.held', 'email.failed'], ['shop', 'contact'], null],
    ]);
  });

  it('refuse what cannot work, and store nothing', async () => {
    await add('--name', 'own', '--untested');
    const http = urlOf('/x');
    await add('--name', 'other', '--untested');
    for (const [args, text, code] of [
      [['add', http], /https/, 2],
      [['add', 'https://ada:pw@example.test/'], /password/, 2],
      [['add', 'https://169.254.169.254/'], /address|HOOK_ALLOW_HOSTS/, 2],
      [['add', http, '--allow-http', '--slack', '--ntfy'], /cannot be used/, 2],
      [['add', http, '--allow-http', '--events', 'message.lost'], /message.lost.*choices/, 2],
      [['add', http, '--allow-http', '--form', 'nope'], /there is no form "nope".*forms list/, 1],
      [['add', http, '--allow-http', '--form', ''], /there is no form ""/, 1],
      [['add', 'http://[::1]/', '--allow-http'], /a name has/, 2],
      [['add', http, '--allow-http', '--ntfy', '--name', 'x'.repeat(65)], /a name has/, 2],
      [['add', http, '--allow-http', '--name', 'own'], /"own" already exists/, 1],
      [['add', http, '--allow-http', '--name', 'Own !'], /lower-case/, 2],
      [['change', 'own', '--form', 'shop', '--all-forms'], /cannot be used/, 2],
      [['change', 'own', '--name', 'other'], /"other" already exists/, 1],
      [['change', 'own', '--name', ''], /a name has/, 2],
      [['change', 'own', '--url', 'https://10.0.0.1/'], /not public/, 2],
      [['show', 'nope'], /there is no hook nope.*ruffinweb hooks list/, 1],
      [['test', 'no\u0000pe'], /there is no hook/, 1],
      [['deliveries', 'list', '--hook', 'nope'], /there is no hook nope/, 1],
      [['deliveries', 'show', '01a20241'], /there is no delivery.*hooks deliveries list/, 1],
      [['deliveries', 'resend'], /say which/, 2],
      [['deliveries', 'cancel', '01a20241', '--failed'], /say which/, 2],
      [['remove', 'own'], /pass --yes/, 2],
      [['create', http], /use ruffinweb hooks add/, 2],
    ] as const) {
      const refused = await run(...args);
      expect(refused.stderr.replaceAll(/\s+/g, ' '), args.join(' ')).to.match(text);
      expect(refused, args.join(' ')).to.include({ code, stdout: '' });
      expect(refused.stderr).to.not.include('ada:pw');
    }
    expect((await json('list')).value.items).to.have.lengthOf(2);
    await db.query(`insert into hooks (id, name, kind, state, url, events, created_at)
      select gen_random_uuid(), 'n' || n, 'slack', 'untested', '', '{}', now() from generate_series(1, 18) as n`);
    expect((await run('add', http, '--allow-http')).stderr).to.include('at most 20 hooks');
  });

  it('change, pause, resume, and rotate the secret', async () => {
    const { secret } = await add('--name', 'own', '--form', 'shop', '--with-content');
    const changed = (await json('change', 'own', '--name', 'mine', '--events', 'message.held', '--form', 'contact'))
      .value;
    expect(changed).to.deep.include({ name: 'mine', events: ['message.held'], forms: ['contact'], withContent: true });
    const reset = (await json('change', 'mine', '--all-forms', '--without-content')).value;
    expect(reset).to.deep.include({ forms: null, withContent: false, events: ['message.held'] });
    expect((await json('change', 'mine', '--form', 'shop', 'contact')).value.forms).to.deep.equal(['shop', 'contact']);
    await db.query(`update hooks set kind = 'ntfy'`);
    expect(await run('rotate-secret', 'mine')).to.include({ code: 2, stdout: '' });
    await db.query(`update hooks set kind = 'webhook'`);
    expect((await json('pause', 'mine')).value.state).to.equal('paused');
    expect((await json('test', 'mine')).value).to.include({ state: 'paused' });
    expect((await json('resume', 'mine')).value.state).to.equal('active');
    await db.query(`update hooks set state = 'gone'`);
    expect((await json('resume', 'mine')).value.state).to.equal('active');
    const rotated = await run('rotate-secret', 'mine');
    expect(rotated.stdout)
      .to.match(/^whsec_[\w+/]{43}=\n$/)
      .and.not.include(secret);
    expect(rotated.stderr).to.include('For 24 hours');
    await run('test', 'mine');
    expect(receiver.ledger.at(-1)?.headers['webhook-signature']).to.match(/^v1,\S+ v1,\S+$/);
    const moved = await json('change', 'mine', '--url', urlOf('/other'), '--allow-http');
    expect(moved.value.state).to.equal('active');
    await run('test', 'mine');
    expect(receiver.ledger.at(-1)?.path).to.equal('/other');
    await db.query(`update hooks set form_ids = array[gen_random_uuid()]`);
    expect((await json('show', 'mine')).value.forms).to.deep.equal(['(deleted form)']);
  });

  describe('deliveries', () => {
    let receipt: string;
    const ids: string[] = [];

    /** Two queued, one failed with an attempt, one sent and one leased. */
    beforeEach(async () => {
      await add('--name', 'own', '--untested');
      const [message] = await buildMessages(context, 1);
      receipt = message?.receipt ?? '';
      await db.query('delete from hook_deliveries');
      ids.length = 0;
      const attempt = { outcome: 'later', code: 500, reply: `oops ${esc}[31m ada@example.test` } as const;
      for (const state of ['queued', 'queued', 'failed', 'sent', 'queued'] as const) {
        const last = state === 'failed' ? attempt : {};
        ids.push(await buildDelivery(db, context, { state, messageId: message?.id, ...last }));
      }
      await db.query('update hook_deliveries set lease_token = gen_random_uuid() where id = $1', [ids[4]]);
    });

    const deliveries = async (...args: string[]) => (await json('deliveries', ...args)).value;
    const states = ({ changed, items }: { changed: number; items: { id: string; state: string }[] }) => [
      changed,
      ...items.map((it) => `${ids.indexOf(it.id)} ${it.state}`),
    ];

    it('are listed by page and filter, and shown with each answer', async () => {
      const page = await deliveries('list', '--limit', '2');
      expect(page.items.map((it: { id: string }) => it.id)).to.deep.equal([ids[4], ids[3]]);
      expect(page.items[0]).to.include({ hook: 'own', event: 'message.accepted', receipt, leased: true });
      const next = await deliveries('list', '--limit', '3', '--cursor', page.next);
      expect(next.items.map((it: { id: string }) => it.id)).to.deep.equal([ids[2], ids[1], ids[0]]);
      for (const [args, count] of [
        [['--state', 'queued', '--hook', 'own'], 3],
        [['--since', '1h'], 5],
        [['--until', '1h'], 0],
      ] as const) {
        expect((await deliveries('list', ...args)).items, args.join(' ')).to.have.lengthOf(count);
      }
      const shown = await run('deliveries', 'show', ids[2] ?? '');
      expect(shown.stdout).to.include('500').and.include('oops').and.include(receipt).and.not.include(esc);
      expect((await run('deliveries', 'show', ids[2] ?? '', '--mask')).stdout).to.include('a***@example.test');
    });

    it('are resent by id or query, and cancelled, if no worker has them', async () => {
      const none = await run('deliveries', 'resend', '--failed', '--until', '1h');
      expect(none).to.deep.equal({ code: 0, stdout: '', stderr: 'No failed delivery matches.\n' });
      expect(states(await deliveries('resend', '--failed', '--since', '1h'))).to.deep.equal([1, '2 queued']);
      const [again] = await db.query(
        'select state, failure, tries, due_at <= now() as due from hook_deliveries where id = $1',
        [ids[2]],
      );
      expect(again).to.deep.equal({ state: 'queued', failure: null, tries: 0, due: true });
      const byId = await json('deliveries', 'resend', ids[3] ?? '', ids[4] ?? '');
      expect([byId.code, states(byId.value)]).to.deep.equal([1, [1, '3 queued', '4 queued']]);
      const [, queued, , sent, leased] = ids;
      await db.query(`update hook_deliveries set state = 'sent' where id = $1`, [sent]);
      const cancel = await run('deliveries', 'cancel', queued ?? '', sent ?? '', leased ?? '');
      expect([cancel.code, cancel.stdout.match(/cancelled|sent|sending/g)]).to.deep.equal([
        1,
        ['cancelled', 'sent', 'sending'],
      ]);
      expect(cancel.stderr).to.include('1 delivery was cancelled.').and.include('The others were sent');
    });

    it('show the outcome of an attempt, and go on when a gone hook is resumed', async () => {
      await db.query(`update hook_deliveries set state = 'cancelled', lease_token = null`);
      receiver.answer({ status: 410, body: 'moved away' });
      await deliveries('resend', ids[0] ?? '');
      const deliver = () => runHere(['deliver', '--once'], db, { settings: { ...settings, DATA_DIR: folder.path } });
      await deliver();
      expect(await stateOf('own')).to.equal('gone');
      const { state, attempts } = await deliveries('show', ids[0] ?? '');
      expect([state, attempts.length]).to.deep.equal(['failed', 1]);
      expect(attempts[0]).to.include({ outcome: 'refused', code: 410, reply: 'moved away' });
      await deliveries('resend', '--failed');
      await json('resume', 'own');
      await deliver();
      expect((await deliveries('show', ids[0] ?? '')).state).to.equal('sent');
      expect(new Set(receiver.ids)).to.deep.equal(new Set([ids[0]]));
    });

    it('change or go with their hook while no post waits', async () => {
      const event = await db.lockRows('hooks', 'key share');
      expect(await run('change', 'own', '--events', 'email.failed')).to.include({ code: 0 });
      await event.release();
      const delivery = await db.lockRows('hook_deliveries');
      const removed = run('remove', 'own', '--yes');
      await db.waitingForLocks(1);
      await db.query('select from hooks for key share nowait');
      await delivery.release();
      expect(await removed).to.include({ code: 0 });
      expect((await json('list')).value.items).to.deep.equal([]);
    });

    it('go with their hook, after a question', async () => {
      const asked = await runHere(['hooks', 'remove', 'own'], db, { settings, columns: 100, types: 'y\n' });
      expect(asked.stderr).to.include('with 3 queued deliveries?');
      expect(asked.code).to.equal(0);
      expect(await db.query('select from hook_deliveries')).to.have.lengthOf(0);
    });
  });
});
