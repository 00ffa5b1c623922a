import { expect } from 'chai';
import type { Outcome, SendOptions } from '../../src/mail/mailer.ts';
import { makeAttempt } from '../../src/services/delivery/attempt.ts';
import { createClearUnsent } from '../../src/services/delivery/clear-unsent.ts';
import type { Job, LeasedRow, Settlement } from '../../src/services/delivery/job.ts';
import { startRenewingLease } from '../../src/services/delivery/renew-lease.ts';
import type { NextStep } from '../../src/services/delivery/retry-schedule.ts';
import { createReturnQueue } from '../../src/services/delivery/return-unsent.ts';
import { createSettleQueue, type Written } from '../../src/services/delivery/settle-queue.ts';
import { openScope } from '../../src/services/scope.ts';
import {
  type Asked,
  hasUuid,
  isDone,
  scriptedContext,
  scriptedId,
  scriptedJob,
  stoppedClocks,
  turns,
} from '../support/scripted.ts';

const rowOf = (n: number): LeasedRow => ({
  ...{ id: scriptedId(n), leaseToken: scriptedId(n + 50) },
  ...{ kind: 'notification', tries: 3 },
});
const outage = () => Object.assign(new Error('away'), { code: '57P01' });
const emails = { rows: 'emails', attempts: 'attempts', reference: 'email_id' } as const;

describe('an attempt to send a row', () => {
  const scheduled: NextStep = { state: 'queued', failure: null, waitMs: 61_600, counts: true };
  const uncounted: NextStep = { state: 'queued', failure: null, waitMs: 0, counts: false };

  interface Case {
    /** What the server does. */
    send?: (options: SendOptions) => Promise<Outcome>;
    result?: Outcome['result'];
    job?: Partial<Job<LeasedRow, string>>;
    next?: NextStep;
    written?: Written;
    mayClear?: boolean;
    interrupt?: AbortSignal;
  }

  async function attempt({ send, result = 'accepted', job = {}, written = 'written', ...more }: Case) {
    const database = scriptedContext();
    const events: string[] = [];
    const settled: Settlement[] = [];
    const { job: base } = scriptedJob({
      send: (_, options) => send?.(options) ?? Promise.resolve({ result, code: 450, reply: 'said' }),
      schedule: () => more.next ?? scheduled,
      pause: async () => void events.push('pause'),
      ...job,
    });
    const returned = await makeAttempt(openScope(database.context), base, rowOf(1), {
      async settle(settlement) {
        events.push('settle');
        settled.push(settlement);
        return written;
      },
      async clearUnsent({ id }) {
        events.push(`clear ${id.slice(-2)}`);
        return more.mayClear ?? true;
      },
      interrupt: more.interrupt ?? new AbortController().signal,
      renewAfterMs: 1000,
    });
    return { returned, events, settlement: settled[0], ...database };
  }

  for (const [result, interrupted, next] of [
    ['accepted', false, scheduled],
    ['later', false, scheduled],
    ['away', false, scheduled],
    ['accepted', true, scheduled],
    ['unknown', true, scheduled],
    ['refused', true, scheduled],
    ['later', true, uncounted],
    ['away', true, uncounted],
  ] as const) {
    it(`that ends as "${result}"${interrupted ? ' after an interrupt' : ''}`, async () => {
      const { returned, settlement, events } = await attempt({
        result,
        ...(interrupted && { interrupt: AbortSignal.abort() }),
      });
      expect(returned).to.equal(result);
      expect(settlement?.next).to.deep.equal(next);
      expect(settlement?.outcome).to.deep.equal({ result, code: 450, reply: 'said' });
      expect(settlement?.row.id).to.equal(scriptedId(1));
      expect(events).to.deep.equal(['settle']);
    });
  }

  it('pauses a broken transport before it frees the row', async () => {
    expect((await attempt({ result: 'broken' })).events).to.deep.equal(['pause', 'settle']);
    const without = await attempt({ result: 'broken', job: { pause: undefined } as object });
    expect(without.events).to.deep.equal(['settle']);
  });

  for (const isAtMostOnce of [true, false]) {
    for (const mayClear of [true, false]) {
      it(`records that the text leaves: ${isAtMostOnce}; it may: ${mayClear}`, async () => {
        let allowed: boolean | undefined;
        const { events, settlement } = await attempt({
          mayClear,
          job: { isAtMostOnce: () => isAtMostOnce },
          async send({ beforeText }) {
            allowed = await beforeText?.();
            return { result: 'later', reply: '' };
          },
        });
        expect(allowed).to.equal(isAtMostOnce ? mayClear : undefined);
        expect(events).to.deep.equal(isAtMostOnce ? ['clear 01', 'settle'] : ['settle']);
        expect(settlement?.next).to.deep.equal(isAtMostOnce && !mayClear ? uncounted : scheduled);
      });
    }
  }

  it('is put off if the row cannot be composed', async () => {
    let sent = 0;
    const { returned, settlement, said, lines } = await attempt({
      job: { compose: () => Promise.reject(new Error('no template')) },
      async send() {
        sent += 1;
        return { result: 'accepted', reply: '' };
      },
    });
    expect([returned, sent]).to.deep.equal(['later', 0]);
    expect(settlement?.outcome).to.deep.equal({ result: 'later', reply: 'could not be composed: no template' });
    expect(settlement?.next).to.deep.equal(scheduled);
    expect(said()[0]).to.equal('error: email could not be composed');
    expect(lines[0]).to.have.property('err');
  });

  for (const [state, line, waitSeconds] of [
    ['sent', 'info: email sent', undefined],
    ['failed', 'error: email failed', undefined],
    ['queued', 'warn: email not delivered yet', 62],
  ] as const) {
    it(`says that the row is ${state}`, async () => {
      const { said, lines } = await attempt({ next: { ...scheduled, state } });
      expect(said()).to.deep.equal([line]);
      const { kind, outcome, code, tries, state: stated, waitSeconds: waits } = lines[0] ?? {};
      expect([kind, outcome, code, tries, stated, waits]).to.deep.equal([
        'notification',
        'accepted',
        450,
        3,
        state,
        waitSeconds,
      ]);
    });
  }

  it('says that its lease was lost, and nothing if the database did not answer', async () => {
    expect((await attempt({ written: 'lease-lost' })).said()).to.deep.equal([
      'warn: the lease was lost before the outcome could be written down',
    ]);
    expect((await attempt({ written: 'unheard' })).said()).to.deep.equal([]);
  });

  it('renews its lease while it is handed over, and is abandoned when that is lost', async () => {
    using clocks = stoppedClocks();
    let wasAbandoned = 0;
    const { asked, settlement } = await attempt({
      async send({ onHandedOver, abandon }) {
        abandon?.addEventListener('abort', () => wasAbandoned++);
        onHandedOver?.();
        await clocks.pass(999);
        expect(wasAbandoned).to.equal(0);
        await clocks.pass(1);
        return { result: 'unknown', reply: '' };
      },
    });
    expect([wasAbandoned, asked.map((it) => it.name)]).to.deep.equal([1, ['renew_emails_1']]);
    expect(settlement?.startedAt).to.deep.equal(new Date(1_000_000));
    const ended = await attempt({
      async send({ onHandedOver }) {
        onHandedOver?.();
        return { result: 'accepted', reply: '' };
      },
    });
    await clocks.pass(5000);
    expect(ended.asked, 'not after its end').to.deep.equal([]);
  });
});

describe('the statements of a worker', () => {
  let clocks: ReturnType<typeof stoppedClocks>;
  let database: ReturnType<typeof scriptedContext>;
  let answer: (asked: Asked) => Record<string, unknown>[] | Promise<Record<string, unknown>[]>;

  beforeEach(() => {
    clocks = stoppedClocks();
    database = scriptedContext((asked) => answer(asked));
  });
  afterEach(() => {
    clocks[Symbol.dispose]();
  });
  const names = () => database.asked.map((it) => it.name);

  describe('that renew a lease', () => {
    const renew = () => {
      let lost = 0;
      const end = startRenewingLease(openScope(database.context), emails, rowOf(1), 1000, () => lost++);
      return { end, lost: () => lost };
    };

    it('run after the first wait, and after three times that', async () => {
      answer = () => [{}];
      const { end, lost } = renew();
      await clocks.pass(1000);
      expect(database.asked[0]?.values).to.deep.equal([scriptedId(1), scriptedId(51)]);
      await clocks.pass(2999);
      expect(database.asked).to.have.lengthOf(1);
      await clocks.pass(1);
      expect(database.asked).to.have.lengthOf(2);
      answer = () => Promise.reject(outage());
      await clocks.pass(3000);
      expect(database.said()).to.deep.equal(['warn: the lease could not be renewed yet']);
      expect(database.lines[0]).to.have.property('err');
      await clocks.pass(999);
      expect(database.asked).to.have.lengthOf(3);
      answer = () => [];
      await clocks.pass(1);
      expect([database.asked.length, lost()]).to.deep.equal([4, 1]);
      await clocks.pass(9000);
      expect(database.asked, 'none after it is lost').to.have.lengthOf(4);
      end();
    });

    for (const [title, reply] of [
      ['found', [{}]],
      ['lost', []],
      ['failed', outage()],
    ] as const) {
      it(`that ends after the attempt (${title}) changes nothing`, async () => {
        const held = Promise.withResolvers<Record<string, unknown>[]>();
        answer = () => held.promise;
        const { end, lost } = renew();
        await clocks.pass(1000);
        end();
        if (reply instanceof Error) held.reject(reply);
        else held.resolve([...reply]);
        await clocks.pass(9000);
        expect([lost(), database.asked.length, database.said()]).to.deep.equal([0, 1, []]);
      });
    }

    it('do not run after the end', async () => {
      renew().end();
      await clocks.pass(9000);
      expect(database.asked).to.deep.equal([]);
    });
  });

  describe('that record what is about to leave', () => {
    it('carry every row that is ready, one after the other', async () => {
      const clear = createClearUnsent(database.context);
      const held = Promise.withResolvers<Record<string, unknown>[]>();
      answer = () => held.promise;
      const first = [clear(rowOf(1)), clear(rowOf(2))] as const;
      await turns();
      const second = clear(rowOf(3));
      await turns();
      expect(database.asked).to.have.lengthOf(1);
      expect(names()).to.deep.equal(['clear_unsent_1']);
      for (const n of [1, 2]) expect(hasUuid(database.asked[0]?.values[0], scriptedId(n))).to.equal(true);
      expect(hasUuid(database.asked[0]?.values[1], scriptedId(51))).to.equal(true);
      answer = () => [{ id: scriptedId(3) }];
      held.resolve([{ id: scriptedId(2) }]);
      expect(await Promise.all([...first, second])).to.deep.equal([false, true, true]);
      expect(await clear(rowOf(3))).to.equal(true);
      expect(database.asked).to.have.lengthOf(3);
    });

    it('let nothing leave while the database is away', async () => {
      const clear = createClearUnsent(database.context);
      answer = () => Promise.reject(outage());
      expect(await clear(rowOf(1))).to.equal(false);
      expect(database.said()).to.deep.equal(['warn: emails wait: the database does not answer']);
      expect(database.lines[0]).to.include({ emails: 1 }).and.to.have.property('err');
    });
  });

  describe('that return what was not sent', () => {
    it('run once, but again if they failed', async () => {
      const returns = createReturnQueue(openScope(database.context), emails);
      await returns.returnAll();
      expect(database.asked).to.deep.equal([]);
      answer = () => Promise.reject(outage());
      returns.add([rowOf(1)]);
      expect(await returns.returnAll().catch((it) => it.message)).to.equal('away');
      const held = Promise.withResolvers<Record<string, unknown>[]>();
      answer = () => held.promise;
      returns.add([rowOf(2)]);
      const returning = returns.returnAll();
      returns.add([rowOf(3)]);
      held.resolve([]);
      await returning;
      await returns.returnAll();
      await returns.returnAll();
      expect(names()).to.deep.equal(Array(3).fill('return_emails_1'));
      const sent = database.asked.map(({ values: [ids] }) => [1, 2, 3].filter((n) => hasUuid(ids, scriptedId(n))));
      expect(sent).to.deep.equal([[1], [1, 2], [3]]);
      expect(hasUuid(database.asked[2]?.values[1], scriptedId(53))).to.equal(true);
    });

    it('look for a lost claim every second, until its lease is over', async () => {
      const returns = createReturnQueue(openScope(database.context), emails);
      answer = () => [];
      returns.addClaim(scriptedId(51));
      await returns.returnAll();
      await returns.returnAll();
      expect(names()).to.deep.equal(['return_emails_of_claims_1']);
      clocks.setDate(999);
      await returns.returnAll();
      expect(database.asked).to.have.lengthOf(1);
      clocks.setDate(1);
      await returns.returnAll();
      expect(database.asked).to.have.lengthOf(2);
      expect(database.said()).to.deep.equal([]);
      returns.addClaim(scriptedId(52));
      answer = () => [{ lease_token: scriptedId(52) }, { lease_token: scriptedId(52) }];
      await returns.returnAll();
      expect(database.asked.at(-1)?.values).to.deep.equal([[scriptedId(51), scriptedId(52)]]);
      expect(database.said()).to.deep.equal(['info: emails of a claim without a response were returned']);
      expect(database.lines[0]).to.include({ emails: 2 });
      answer = () => [];
      clocks.setDate(88_999);
      await returns.returnAll();
      expect(database.asked.at(-1)?.values).to.deep.equal([[scriptedId(51)]]);
      clocks.setDate(1000);
      await returns.returnAll();
      expect(database.asked, 'once more').to.have.lengthOf(5);
      clocks.setDate(1000);
      await returns.returnAll();
      expect(database.asked, 'given up').to.have.lengthOf(5);
    });

    it('give up a claim when its lease has just ended', async () => {
      const returns = createReturnQueue(openScope(database.context), emails);
      answer = () => [];
      returns.addClaim(scriptedId(51));
      for (const ms of [90_000, 1000]) {
        clocks.setDate(ms);
        await returns.returnAll();
      }
      expect(database.asked).to.have.lengthOf(1);
    });
  });
});

describe('the queue of outcomes', () => {
  const settlement = (n: number): Settlement => ({
    row: rowOf(n),
    startedAt: new Date(),
    outcome: { result: 'accepted', reply: '' },
    next: { state: 'sent', failure: null, waitMs: 0, counts: true },
  });

  function open() {
    const database = scriptedContext();
    const interrupt = new AbortController();
    const batches: number[][] = [];
    const script: ((ids: string[]) => Promise<string[]> | string[])[] = [];
    const settle = createSettleQueue(
      database.context,
      {
        table: emails,
        async settle(_, settlements) {
          const ids = settlements.map((it) => it.row.id);
          batches.push(ids.map((it) => Number(it.slice(-2))));
          return new Set((await script.shift()?.(ids)) ?? ids);
        },
      },
      interrupt.signal,
    );
    return { settle: (n: number) => settle(settlement(n)), batches, script, interrupt, ...database };
  }
  const fail = (error: Error) => () => Promise.reject(error);

  it('writes rows that come together at once, in at most two statements', async () => {
    using _clocks = stoppedClocks();
    const { settle, batches, script } = open();
    const held = [Promise.withResolvers<string[]>(), Promise.withResolvers<string[]>()] as const;
    script.push(
      () => held[0].promise,
      () => held[1].promise,
    );
    const first = [settle(1), settle(2)] as const;
    await turns();
    const second = settle(3);
    await turns();
    const third = [settle(4), settle(5)];
    await turns();
    expect(batches).to.deep.equal([[1, 2], [3]]);
    held[1].resolve([]);
    expect(await second).to.equal('lease-lost');
    expect(await Promise.all(third)).to.deep.equal(['written', 'written']);
    held[0].resolve([scriptedId(2)]);
    expect(await Promise.all(first)).to.deep.equal(['lease-lost', 'written']);
    for (const n of [6, 7, 8, 9]) expect(await settle(n)).to.equal('written');
    expect(batches).to.deep.equal([[1, 2], [3], [4, 5], [6], [7], [8], [9]]);
  });

  const succeed = (ids: string[]) => ids;

  it('writes one by one what failed together, unless the database is away', async () => {
    using clocks = stoppedClocks();
    const { settle, batches, script, said, lines } = open();
    script.push(fail(new Error('a bug')), fail(new Error('a bug')), succeed, succeed, fail(new Error('a bug')));
    const settled = [settle(1), settle(2), settle(3)] as const;
    await turns();
    // The other of the two statements tries at once.
    expect(batches).to.deep.equal([[1, 2, 3], [1], [2], [3], [1]]);
    expect([await isDone(settled[0]), await settled[1], await settled[2]]).to.deep.equal([false, 'written', 'written']);
    expect(said()).to.deep.equal(Array(2).fill('error: outcome could not be written down yet'));
    expect(lines[0]).to.include({ emails: 1 }).and.to.have.property('err');
    await clocks.pass(999);
    expect(batches).to.have.lengthOf(5);
    await clocks.pass(1);
    expect(await settled[0]).to.equal('written');

    script.push(fail(outage()), fail(outage()));
    batches.length = 0;
    const more = [settle(1), settle(2)];
    await turns();
    expect(batches).to.deep.equal([
      [1, 2],
      [1, 2],
    ]);
    expect(lines.at(-1)).to.include({ emails: 2 });
    more.push(settle(3));
    await clocks.pass(1000);
    expect(await Promise.all(more)).to.deep.equal(['written', 'written', 'written']);
    expect(batches[2], 'what failed comes first').to.deep.equal([1, 2, 3]);
  });

  it('tries until the lease is over, or the process ends', async () => {
    using clocks = stoppedClocks();
    const { settle, script, batches, interrupt } = open();
    script.push(...Array.from({ length: 200 }, () => fail(outage())));
    const settled = settle(1);
    for (let second = 0; second < 90; second++) await clocks.pass(1000);
    expect([batches.length, await isDone(settled)]).to.deep.equal([91, false]);
    await clocks.pass(1000);
    expect(await settled).to.equal('unheard');
    expect(batches).to.have.lengthOf(92);
    const second = settle(2);
    await turns();
    interrupt.abort();
    expect(await isDone(second)).to.equal(false);
    await clocks.pass(1000);
    expect(await second).to.equal('unheard');
    await clocks.pass(3000);
    expect(batches, 'and not once more').to.have.lengthOf(94);
  });
});
