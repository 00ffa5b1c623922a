import { setImmediate } from 'node:timers/promises';
import { expect } from 'chai';
import type { Context } from '../../src/context.ts';
import { Problem } from '../../src/problems.ts';
import { isRepeatBeingStored, postIdentity, repeatLock } from '../../src/services/intake/find-repeats.ts';
import { openIntake } from '../../src/services/intake/intake.ts';
import { type RememberedForms, withOpenForm } from '../../src/services/intake/open-forms.ts';
import { type BatchLimits, openStoreBatches } from '../../src/services/intake/store-batches.ts';
import { storeMessages } from '../../src/services/intake/store-messages.ts';
import type { StoreResult, Verdict } from '../../src/services/intake/verdict.ts';
import { openWriteAccess, takesWrites } from '../../src/services/intake/write-access.ts';
import { openScope, type Scope } from '../../src/services/scope.ts';
import { openTestContext, watchedScope } from '../support/context.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { stopClock } from '../support/stopped-clock.ts';

/** Storing while the database refuses, waits or changes. */
describe('storing posts', () => {
  let db: TestDatabase;
  let context: Context;
  let form: { id: string; version: string };

  before(async () => {
    db = await createDatabase();
    context = await openTestContext(db, { MAIL_FROM: 'site@site.test', NOTIFY_TO: 'owner@site.test' });
    [form] = (await db.query("select id, xmin::text as version from forms where slug = 'contact'")) as [typeof form];
    // Counts over rollbacks too.
    await db.query(`create sequence tries;
      create table failures (code text, name text, times int);
      create function fail() returns trigger language plpgsql as $$
        declare it record;
        begin
          select * into it from failures;
          if nextval('tries') <= it.times then raise exception using errcode = it.code, constraint = it.name; end if;
          return new;
        end $$;
      create trigger fail before insert on messages for each row execute function fail()`);
  });
  afterEach(async () => {
    await db.empty();
    await db.query("truncate recent_posts, failures; select setval('tries', 1, false)");
  });
  after(async () => {
    await context[Symbol.asyncDispose]();
    await db[Symbol.asyncDispose]();
  });

  /** The next messages fail so often. */
  const fail = (code: string, times = 1, name = '') =>
    db.query('insert into failures values ($1, $2, $3)', [code, name, times]);
  const tries = async () => (await db.query<{ n: number }>('select last_value::int as n from tries'))[0]?.n;

  const verdict = (text: string, changes: Partial<Verdict> = {}): Verdict => ({
    formId: form.id,
    formVersion: form.version,
    content: { address: 'ada@example.test', text, extra: [] },
    clientAddress: undefined,
    status: 'accepted',
    reasons: [],
    notify: [],
    idempotencyKey: undefined,
    captchaUse: undefined,
    otherAddresses: [],
    notifyLimit: 0,
    noReply: 'off',
    ...changes,
  });
  const lockOf = ({ formId, content, idempotencyKey }: Verdict) =>
    repeatLock(postIdentity(context.keyring, formId, content, idempotencyKey));
  const captcha = (id: string) => ({ captchaUse: { id, expiresAt: new Date(Date.now() + 60_000) } });
  const idOf = (result: StoreResult | undefined) => (result && 'stored' in result ? result.stored.id : 'refused');
  const codeOf = async (work: Promise<unknown>) =>
    await work.then(
      () => 'stored',
      (error: Error & { code?: string }) => error.code ?? error.message,
    );

  it('needs one statement if nothing is repeated', async () => {
    const asked: string[] = [];
    const scope = watchedScope(context, (name) => asked.push(name));
    await storeMessages(scope, [verdict('1'), verdict('2')]);
    expect(asked).to.deep.equal(['store_messages_13']);
    await storeMessages(scope, [verdict('2')]);
    expect(asked.slice(1)).to.deep.equal(['store_messages_13', 'find_repeats_1']);
    // The form changed: nobody looks for the first post.
    await storeMessages(scope, [verdict('3', { formVersion: '0' })]);
    expect(asked.slice(3)).to.deep.equal(['store_messages_13']);
    await storeMessages(scope, [verdict('4', { noReply: undefined }), verdict('5')]);
    expect(asked.slice(4)).to.deep.equal(['store_messages_13_replies']);
  });

  it('draws other receipts if one is taken, three times', async () => {
    await fail('23505', 2, 'messages_receipt_unique');
    await storeMessages(openScope(context), [verdict('1')]);
    expect(await tries()).to.equal(3);
    await db.query("update failures set times = 6; select setval('tries', 4, false)");
    expect(await codeOf(storeMessages(openScope(context), [verdict('2')]))).to.equal('23505');
    expect(await tries()).to.equal(6);
  });

  it('stores what repeats a message that was deleted meanwhile', async () => {
    const keyed = (n: number) => verdict('Same', { idempotencyKey: `k${n}`, status: n === 1 ? 'held' : 'accepted' });
    const first = await storeMessages(openScope(context), [keyed(1), keyed(3)]);
    const scope = watchedScope(context, async (name) => {
      if (name === 'find_repeats_1') await db.query('delete from messages where id = any($1)', [first.map(idOf)]);
    });
    const again = await storeMessages(scope, [keyed(1), keyed(2), keyed(3)]);
    expect(again.map((it) => 'stored' in it && !it.repeated)).to.deep.equal([true, true, true]);
    const stored = await db.query<{ id: string; status: string }>('select id, status from messages');
    const statuses = new Map(stored.map((it) => [it.id, it.status]));
    expect(again.map((it) => statuses.get(idOf(it)))).to.deep.equal(['held', 'accepted', 'accepted']);
    expect(new Set([...first, ...again].map(idOf))).to.have.lengthOf(5);
  });

  it('takes a captcha once, in any company, and knows a repeat of its post', async () => {
    const scope = openScope(context);
    const [first] = await storeMessages(scope, [verdict('1', captcha('one'))]);
    const [other, company, repeat] = await storeMessages(scope, [
      verdict('2', captcha('one')),
      verdict('3'),
      verdict('1', captcha('one')),
    ]);
    expect(other).to.have.nested.property('refused.code', 'captcha-wrong');
    expect(company).to.have.property('repeated', false);
    expect(idOf(repeat)).to.equal(idOf(first));
  });

  describe('while a lock is held', () => {
    /** Stores when its first try failed, as if a lock was not free in time, and the first post is under way meanwhile. */
    const storeWaiting = async (
      verdicts: readonly Verdict[],
      { code = '55P03', isBusy = true, waitedMs = 0 }: { code?: string; isBusy?: boolean; waitedMs?: number } = {},
    ) => {
      using clock = stopClock();
      await db.query('delete from failures');
      await db.query("select setval('tries', 1, false)");
      await fail(code);
      let lock: Awaited<ReturnType<typeof db.lockKey>> | undefined;
      const release = async () => {
        await lock?.release();
        lock = undefined;
      };
      const scope = watchedScope(context, async (name) => {
        if (name === 'repeat_busy_1' && isBusy) lock = await db.lockKey(lockOf(verdicts[0] as Verdict));
        else await release();
      });
      try {
        return await storeMessages(scope, verdicts, clock.now - waitedMs);
      } finally {
        await release();
      }
    };

    it('a repeat waits for the first post, up to five seconds', async () => {
      expect(await codeOf(storeWaiting([verdict('1')]))).to.equal('stored');
      expect(await codeOf(storeWaiting([verdict('2')], { waitedMs: 3000 }))).to.equal('stored');
      const error = await storeWaiting([verdict('3')], { waitedMs: 3001 }).catch((it: unknown) => it);
      expect(error).to.have.property('code', 'repeat-in-progress');
      expect(error).to.have.nested.property('cause.code', '55P03');
    });

    it('others fail at once', async () => {
      expect(await codeOf(storeWaiting([verdict('1')], { isBusy: false }))).to.equal('55P03');
      expect(await codeOf(storeWaiting([verdict('2')], { code: 'P0001' }))).to.equal('P0001');
      expect(await codeOf(storeWaiting([verdict('3'), verdict('4')]))).to.equal('55P03');
      expect(await db.count('messages')).to.equal(0);
    });

    it('it is known which post is being stored', async () => {
      const posts = ['1', '2'].map((text) => ({
        form_id: form.id,
        ...postIdentity(context.keyring, form.id, { text, extra: [] }, undefined),
      }));
      expect(await isRepeatBeingStored(openScope(context), posts)).to.equal(false);
      const lock = await db.lockKey(repeatLock(posts[1] as (typeof posts)[0]));
      expect(await isRepeatBeingStored(openScope(context), posts).finally(lock.release)).to.equal(true);
    });
  });

  describe('together', () => {
    const limits: BatchLimits = { maxInFlight: 1, maxPosts: 1, maxWaiting: 10 };
    /** What became of each post. */
    const follow = (work: Promise<unknown>) => {
      const post = { state: 'open', done: work };
      post.done = codeOf(work).then((it) => {
        post.state = it;
      });
      return post;
    };
    const tooSlow = 'the database takes too long';

    it('refuses posts that wait too long, and stores none of them later', async () => {
      using clock = stopClock();
      await using batches = openStoreBatches(context, limits);
      const lock = await db.lockTable('senders');
      const posts: ReturnType<typeof follow>[] = [];
      const add = (text: string) => posts.push(follow(batches.store(verdict(text))));
      const states = async () => {
        clock.tick();
        await setImmediate();
        return posts.map((it) => it.state);
      };
      try {
        add('1');
        await db.waitingForLocks(1);
        add('2');
        clock.now += 1;
        add('3');
        clock.now += 1498;
        expect(await states()).to.deep.equal(['open', 'open', 'open']);
        clock.now += 1;
        expect(await states()).to.deep.equal(['open', tooSlow, 'open']);
        clock.now += 2500;
        add('4');
        clock.now += 799;
        expect(await states()).to.deep.equal(['open', tooSlow, tooSlow, 'open']);
        clock.now += 1;
        expect(await states()).to.deep.equal([tooSlow, tooSlow, tooSlow, 'open']);
        expect(clock.intervals.size).to.equal(1);
      } finally {
        await lock.release();
      }
      await Promise.all(posts.map((it) => it.done));
      expect(posts[3]?.state).to.equal('stored');
      // Of the first, the statement was under way.
      expect(await db.count('messages')).to.equal(2);
    });

    it('refuses posts at once if enough wait', async () => {
      await using batches = openStoreBatches(context, { ...limits, maxWaiting: 1 });
      const codes = await Promise.all(['1', '2'].map((text) => codeOf(batches.store(verdict(text)))));
      expect(codes).to.deep.equal(['stored', 'too many posts wait for the database']);
    });

    it('looks for late posts as long as one is open', async () => {
      using clock = stopClock();
      await using batches = openStoreBatches(context, { ...limits, maxPosts: 9 });
      for (const text of ['1', '2']) {
        const post = batches.store(verdict(text));
        expect(clock.intervals.size).to.equal(1);
        await post;
        expect(clock.intervals.size).to.equal(0);
      }
    });

    it('stores each alone if one may be to blame, while there is time', async () => {
      using clock = stopClock();
      await using batches = openStoreBatches(context, { ...limits, maxPosts: 9 });
      await fail('55P03');
      const old = follow(batches.store(verdict('1')));
      clock.now += 1;
      const young = follow(batches.store(verdict('2')));
      clock.now += 2800;
      await Promise.all([old.done, young.done]);
      expect([old.state, young.state]).to.deep.equal([tooSlow, 'stored']);
    });

    it('fails all posts if the database is away', async () => {
      await using batches = openStoreBatches(context, { ...limits, maxPosts: 9 });
      await fail('53100');
      const codes = await Promise.all(['1', '2'].map((text) => codeOf(batches.store(verdict(text)))));
      expect(codes).to.deep.equal(['53100', '53100']);
    });
  });

  describe('at the intake', () => {
    it('doubts the database from a failed write to the next that works', async () => {
      await using intake = openIntake(context);
      await fail('53100');
      expect(await codeOf(intake.store(verdict('1')))).to.equal('53100');
      expect(intake.writes.isDoubtful).to.equal(true);
      await intake.store(verdict('1', { idempotencyKey: 'k' }));
      expect(intake.writes.isDoubtful).to.equal(false);
      intake.writes.isDoubtful = true;
      await intake.store(verdict('1', { idempotencyKey: 'k' }));
      await intake.store(verdict('2', { idempotencyKey: 'k' }));
      expect(intake.writes.isDoubtful, 'a repeat and a refusal write nothing').to.equal(true);
      intake.writes.isDoubtful = false;
      const whenFull = new Problem('form-closed', 'full');
      expect(await codeOf(intake.store(verdict('3', { limit: { messages: 1, whenFull } })))).to.equal('form-closed');
      expect(intake.writes.isDoubtful).to.equal(false);
    });

    it('stores no post over the limit of its form, even of posts in the same moment', async () => {
      await using intake = openIntake(context);
      const limit = { messages: 1, whenFull: new Problem('form-closed', 'full') };
      const codes = await Promise.all(['1', '2'].map((text) => codeOf(intake.store(verdict(text, { limit })))));
      expect(codes).to.deep.equal(['stored', 'form-closed']);
    });

    it('ends with an answer to every post', async () => {
      const limit = { messages: 9, whenFull: new Problem('form-closed', 'full') };
      for (const post of [verdict('1'), verdict('2', { limit })]) {
        const intake = openIntake(context);
        let isDone = false;
        void intake.store(post).then(() => {
          isDone = true;
        });
        await intake[Symbol.asyncDispose]();
        await setImmediate();
        expect(isDone).to.equal(true);
      }
    });

    it('asks whether writes work only in doubt, every ten seconds', async () => {
      using clock = stopClock();
      const access = openWriteAccess();
      expect(access.isDoubtful).to.equal(false);
      const asked: string[] = [];
      const warned: unknown[] = [];
      const log = { warn: (it: unknown) => warned.push(it) } as never;
      const ask = async () =>
        await takesWrites({ em: watchedScope(context, (name) => asked.push(name)).em, log }, access);
      expect([await ask(), asked]).to.deep.equal([true, []]);
      access.isDoubtful = true;
      expect(await ask()).to.equal(true);
      expect(asked).to.deep.equal(['explain_store_messages_13_captchas_keys_replies']);
      expect(warned).to.deep.equal([]);
      expect(access).to.deep.equal({ isDoubtful: false, triedAt: clock.now });
      access.isDoubtful = true;
      clock.now += 9999;
      expect([await ask(), asked.length]).to.deep.equal([false, 1]);
      clock.now += 1;
      expect([await ask(), asked.length]).to.deep.equal([true, 2]);
      const failing = async (code: string) => {
        clock.now += 10_000;
        access.isDoubtful = true;
        const err = Object.assign(new Error('failed'), { code });
        const em = watchedScope(context, () => Promise.reject(err)).em;
        const result = await takesWrites({ em, log }, access).catch((error: unknown) => error === err && 'away');
        expect(warned.pop()).to.deep.equal({ err });
        return [result, access.isDoubtful];
      };
      expect(await failing('53100')).to.deep.equal([false, true]);
      expect(await failing('57P03')).to.deep.equal(['away', true]);
      expect(await failing('P0001')).to.deep.equal([true, false]);
    });

    it('reads a form again only before a refusal by an older version', async () => {
      const remembered: RememberedForms = new Map();
      const scope = openScope(context);
      const refusing = (error: Error, it: Scope = scope) => {
        let seen: unknown;
        return withOpenForm(it, remembered, 'contact', (form) => {
          seen = form;
          return Promise.reject(error);
        }).catch((thrown: unknown) => [thrown === error, remembered.get('contact') === seen]);
      };
      const problem = new Problem('fields-invalid', 'refused');
      expect(await refusing(problem), 'just read').to.deep.equal([true, true]);
      expect(await refusing(new Error('away')), 'no refusal').to.deep.equal([true, true]);
      expect(await withOpenForm(scope, remembered, 'contact', async (it) => it)).to.equal(remembered.get('contact'));
      const known = remembered.get('contact');
      expect(await withOpenForm(scope, remembered, 'contact', async (it) => it === known)).to.equal(true);
      const em = { fork: () => expect.fail('away') } as never;
      expect(await refusing(problem, { ...scope, em }), 'not read').to.deep.equal([false, true]);
    });
  });
});
