import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { queueReply } from '../../src/services/emails/queue-reply.ts';
import { changeForm } from '../../src/services/forms/form-settings.ts';
import type { FormSettings } from '../../src/services/forms/read-settings.ts';
import { type Intake, openIntake } from '../../src/services/intake/intake.ts';
import { submitMessage } from '../../src/services/intake/submit-message.ts';
import { openScope } from '../../src/services/scope.ts';
import { submission } from '../support/api.ts';
import { openTestContext, recordStatements } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';

/** Two servers on one database, each with its own pool and its own memory. */
describe('forms with routes, a time to close and a limit', () => {
  let db: TestDatabase;
  let contexts: Context[];
  let intakes: Intake[];
  let now: Date | undefined;

  before(async () => {
    db = await createDatabase();
    contexts = [];
    for (let n = 0; n < 2; n++) {
      const context = await openTestContext(db, { NOTIFY_TO: 'owner@site.test' });
      contexts.push({ ...context, now: () => now ?? new Date() });
    }
    intakes = contexts.map(openIntake);
  });
  after(async () => {
    for (const it of [...intakes, ...contexts]) await it[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });
  afterEach(async () => {
    now = undefined;
    await db.empty();
    await set({ routes: null, fields: null, closesAt: null, messageLimit: null, closedText: null, notifyLimit: null });
  });

  const scope = (server = 0) => openScope(contexts[server] as Context);
  const set = (changes: Partial<FormSettings>) => changeForm(scope(), 'contact', changes);
  const submit = (values: Record<string, unknown>, server = 0, idempotencyKey?: string) =>
    submitMessage(scope(server), intakes[server] as Intake, {
      formSlug: 'contact',
      values: new Map(Object.entries(submission(values))),
      clientAddress: undefined,
      idempotencyKey,
    });
  /** The code of a refusal, or whether it is a repeat. */
  const result = (...args: Parameters<typeof submit>): Promise<string> =>
    submit(...args).then(
      (it) => (it.repeated ? 'repeated' : 'stored'),
      (error: { code?: string }) => error.code ?? String(error),
    );
  const from = (n: number | string) => ({ email: `p${n}@example.test`, message: `From ${n}` });

  it('sends notifications where the stored value says, and nowhere else', async () => {
    await set({
      fields: [
        { name: 'email', type: 'email' },
        { name: 'message', type: 'text' },
        { name: 'interests', type: 'choices', choices: ['tea', 'coffee', 'iced tea', 'tea, black'] },
      ],
      routes: [
        { field: 'topic', value: 'sales', to: ['sales@site.test', 'anna@site.test'] },
        { field: 'subject', value: 'Invoice', to: ['bills@site.test', 'Anna@site.test'] },
        { field: 'name', value: 'Bob', to: ['bob@site.test'] },
        { field: 'message', value: 'stop', to: ['stop@site.test'] },
        { field: 'interests', value: 'tea', to: ['tea@site.test'] },
        { field: 'interests', value: 'coffee', to: ['coffee@site.test'] },
        { field: 'interests', value: 'tea, black', to: ['black@site.test'] },
        { field: 'place', value: 'Caf\u00e9', to: ['cafe@site.test'] },
      ],
    });
    const owner = ['owner@site.test'];
    for (const [values, expected] of [
      [{ topic: 'sales' }, ['anna@site.test', 'sales@site.test']],
      [{ topic: 'sales', subject: 'Invoice' }, ['anna@site.test', 'bills@site.test', 'sales@site.test']],
      [{ name: 'Bob' }, ['bob@site.test']],
      [{ message: 'stop' }, ['stop@site.test']],
      [{ interests: ['tea', 'coffee'] }, ['coffee@site.test', 'tea@site.test']],
      [{ interests: 'iced tea' }, owner],
      [{ interests: 'tea, black' }, ['black@site.test']],
      [{ interests: ['coffee', 'tea, black', 'iced tea'] }, ['black@site.test', 'coffee@site.test']],
      [{ place: 'Cafe\u0301' }, ['cafe@site.test']],
      // Held: its notification waits, for the same recipients.
      [{ topic: 'sales', _gotcha: 'x' }, ['anna@site.test', 'sales@site.test']],
      [{}, owner],
      [{ topic: 'Sales' }, owner],
      [{ topic: 'sales, support' }, owner],
      [{ topic: ['sales', 'support'] }, owner],
      [{ topic: 'eve@evil.test' }, owner],
      [{ topic: 'sales -> eve@evil.test' }, owner],
      [{ topic: 'sales\r\nBcc: eve@evil.test' }, owner],
      [{ interests: 'eve@evil.test' }, owner],
      [{ subject: '__proto__', __proto: 'x', constructor: 'sales' }, owner],
      [
        { routes: '[{"field":"topic"}]', to: 'eve@evil.test', _to: 'eve@evil.test', recipients: 'eve@evil.test' },
        owner,
      ],
    ] as [Record<string, unknown>, string[]][]) {
      await db.empty();
      const outcome = await result(values);
      const rows = await db.query<{ recipient: string }>(
        'select recipient from emails where recipient is not null order by lower(recipient)',
      );
      // A choice that the form does not offer may be refused.
      if (outcome !== 'fields-invalid')
        expect(
          rows.map((it) => it.recipient),
          JSON.stringify(values),
        ).to.deep.equal(expected);
    }
  });

  it('counts notifications of an hour for each recipient of a route', async () => {
    await set({
      notifyLimit: 2,
      routes: [{ field: 'topic', value: 'sales', to: ['sales@site.test', 'anna@site.test'] }],
    });
    for (const [n, topic] of ['sales', 'other', 'sales', 'sales', 'other', 'sales'].entries()) {
      expect(await result({ ...from(n), topic })).to.equal('stored');
    }
    expect(
      await db.query(
        `select recipient, count(*) filter (where failure is null and due_at <= now())::int as sent,
           count(*) filter (where due_at > now())::int as digests, count(*) filter (where failure = 'digest')::int as listed
         from emails where recipient is not null group by recipient order by recipient`,
      ),
    ).to.deep.equal([
      { recipient: 'anna@site.test', sent: 2, digests: 1, listed: 1 },
      { recipient: 'owner@site.test', sent: 2, digests: 0, listed: 0 },
      { recipient: 'sales@site.test', sent: 2, digests: 1, listed: 1 },
    ]);
  });

  it('copies replies to the recipients of the route', async () => {
    await set({ routes: [{ field: 'topic', value: 'sales', to: ['sales@site.test'] }] });
    const request = { text: 'Yes', copy: true, evenSo: false, again: false, dryRun: true };
    for (const [topic, copyTo] of [
      ['sales', 'sales@site.test'],
      ['other', 'owner@site.test'],
    ]) {
      const { id } = await submit({ topic });
      expect(await queueReply(scope(), id, request)).to.deep.include({ copyTo: [copyTo] });
    }
  });

  it('sends no auto-reply to any address of a route', async () => {
    await set({ routes: [{ field: 'topic', value: 'sales', to: ['sales@site.test'] }] });
    await submit({ ...from(1), topic: 'other', email: 'sales@site.test' });
    expect(await db.query('select no_reply from messages')).to.deep.equal([{ no_reply: 'address' }]);
  });

  it('notices the hour of closing without a query and without a change', async () => {
    now = new Date('2026-12-24T17:59:59.999Z');
    await set({ closesAt: new Date('2026-12-24T18:00:00Z'), closedText: 'Merry Christmas!' });
    expect(await result(from(1))).to.equal('stored');
    const statements = await recordStatements(contexts[0] as Context);
    expect(await result(from(2))).to.equal('stored');
    expect(statements.filter((it) => !it.includes('insert into messages'))).to.deep.equal([]);
    now = new Date('2026-12-24T18:00:00Z');
    const refusal = await submit(from(3)).catch((error: unknown) => error);
    expect(refusal).to.include({ code: 'form-closed', message: 'Merry Christmas!', closedText: 'Merry Christmas!' });
    const unchanged = await changeForm(scope(), 'contact', { open: true }).catch((error: unknown) => error);
    expect(unchanged).to.include({ code: 'argument-invalid', needs: 'closes' });
    await changeForm(scope(), 'contact', { open: true, closesAt: null });
    expect(await result(from(3))).to.equal('stored');
  });

  it('accepts exactly as many messages as its limit, held ones included', async () => {
    await set({ messageLimit: 5 });
    const trap = (n: number) => (n % 3 === 0 ? { _gotcha: 'x' } : {});
    const all = Array.from({ length: 16 }, (_, n) => result({ ...from(n), ...trap(n) }, n % 2));
    const results = (await Promise.all(all)).toSorted();
    expect(results).to.deep.equal([...Array(11).fill('form-closed'), ...Array(5).fill('stored')]);
    expect(await db.count('messages')).to.equal(5);
  });

  it('answers repeats also when it is full; a deleted message frees a place', async () => {
    await set({ messageLimit: 2 });
    const first = await submit(from(1));
    const keyed = await submit(from(2), 1, 'key');
    expect(await result(from(3))).to.equal('form-closed');
    for (const server of [0, 1]) {
      expect(await submit(from(1), server)).to.deep.equal({ ...first, repeated: true });
      expect(await submit(from(2), server, 'key')).to.deep.equal({ ...keyed, repeated: true });
      expect(await result(from(4), server, 'key')).to.equal('idempotency-key-reused');
    }
    await db.query('delete from emails where message_id = $1', [first.id]);
    await db.query('delete from messages where id = $1', [first.id]);
    expect(await Promise.all([result(from(3), 0), result(from(3), 1)])).to.have.members(['stored', 'repeated']);
    expect(await result(from(4))).to.equal('form-closed');
    expect(await result(from(2), 0, 'key')).to.equal('repeated');
  });

  it('follows a limit that is changed while a post waits', async () => {
    const during = async (changes: Partial<FormSettings>, n: number) => {
      const lock = await db.lockKey(
        (contexts[0] as Context).keyring.addressIndex(`p${n}@example.test`).readBigInt64BE(0),
      );
      const posted = result(from(n));
      await db.waitingForLocks(1);
      await set(changes);
      await lock.release();
      return await posted;
    };
    await submit(from(1));
    expect(await during({ messageLimit: 1 }, 2), 'a limit is new').to.equal('form-closed');
    expect(await result(from(2))).to.equal('form-closed');
    await set({ messageLimit: 2 });
    expect(await during({ messageLimit: 1 }, 3), 'it is lowered').to.equal('form-closed');
    await set({ messageLimit: 2 });
    expect(await during({ messageLimit: null }, 3), 'it is gone').to.equal('stored');
  });

  it('takes one connection however many posts wait', async () => {
    await set({ messageLimit: 50 });
    expect(await result(from('first'))).to.equal('stored');
    const lock = await db.lockRows('forms');
    const posts = Array.from({ length: 20 }, (_, n) => result(from(n)));
    // All have come when the first waits and some turns of the event loop have passed.
    for (let n = 0; n < 10; n++) await db.waitingForLocks(1);
    const waiting = await db.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    await lock.release();
    expect(waiting).to.have.lengthOf(1);
    expect(await Promise.all(posts)).to.deep.equal(Array(20).fill('stored'));
  });
});
