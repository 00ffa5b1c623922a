import { expect } from 'chai';
import { deliverUntilIdle, runDeliveryLoop } from '../../src/services/delivery/delivery-loop.ts';
import type { Job, LeasedRow } from '../../src/services/delivery/job.ts';
import { createNewMailSignal } from '../../src/services/delivery/new-mail-signal.ts';
import { Worker, type WorkerOptions } from '../../src/services/delivery/worker.ts';
import {
  type Asked,
  hasUuid,
  isDone,
  type ScriptedJob,
  scriptedContext,
  scriptedId,
  scriptedJob,
  stoppedClocks,
  turns,
} from '../support/scripted.ts';

type Changes = Partial<Job<LeasedRow, string>>;

describe('a worker, step by step', () => {
  let clocks: ReturnType<typeof stoppedClocks>;
  let stop: AbortController;
  let database: ReturnType<typeof scriptedContext>;
  /** Of the statements that reach the database. */
  let answer: (asked: Asked) => Record<string, unknown>[] | Promise<Record<string, unknown>[]>;
  let scripted: ScriptedJob;

  beforeEach(() => {
    clocks = stoppedClocks();
    stop = new AbortController();
    answer = () => [];
    database = scriptedContext((asked) => answer(asked));
  });
  afterEach(() => {
    clocks[Symbol.dispose]();
  });

  const start = (changes: Changes = {}, options: WorkerOptions = {}) => {
    scripted = scriptedJob(changes);
    return new Worker(database.context, scripted.job, stop.signal, options);
  };
  const statements = () => database.asked.map((it) => it.name);
  /** Ends attempts, and lets their lanes take more. */
  const end = async (...[n, result]: Parameters<ScriptedJob['end']>) => {
    scripted.end(n, result);
    await turns();
  };
  const take = async (worker: Worker<LeasedRow, string>) => {
    const taken = await worker.takeDue();
    await turns();
    return taken.mayBeMore;
  };

  it('claims a row for each lane, and as many ahead as it sent within a second', async () => {
    const worker = start();
    expect([worker.state, worker.isIdle, worker.started]).to.deep.equal(['returning', true, 0]);
    scripted.add(1, 2, 3, 4, 5, 6, 7, 8, 9);
    expect(await take(worker)).to.equal(true);
    expect([worker.state, worker.started, worker.isFull, worker.hasWaiting, worker.isIdle]).to.deep.equal([
      'sending',
      2,
      true,
      false,
      false,
    ]);
    expect(await take(worker), 'none is free').to.equal(true);
    expect(scripted.claims.map((it) => it.limit)).to.deep.equal([2]);
    await end(1);
    expect([worker.isFull, worker.isIdle]).to.deep.equal([false, false]);
    await take(worker);
    expect(scripted.claims.map((it) => it.limit)).to.deep.equal([2, 2]);
    expect([worker.isFull, worker.hasWaiting]).to.deep.equal([true, true]);
    expect(scripted.underWay()).to.deep.equal([2, 3]);
    await end(2);
    expect(scripted.underWay(), 'the one that waited, without a claim').to.deep.equal([3, 4]);
    expect([worker.isFull, worker.hasWaiting]).to.deep.equal([false, false]);
    await take(worker);
    expect([worker.isFull, worker.hasWaiting]).to.deep.equal([true, true]);
    expect(scripted.claims.at(-1)?.limit).to.equal(2);
    await end(3);
    // One waits of three that may.
    expect(worker.isFull).to.equal(false);
    expect(await take(worker)).to.equal(true);
    expect(scripted.claims.at(-1)?.limit).to.equal(2);
    expect(scripted.events.filter((it) => it === 'prepare')).to.have.lengthOf(1);
    expect(new Set(scripted.claims.map((it) => it.leaseToken)).size).to.equal(scripted.claims.length);
  });

  it('prepares and probes at once until a claim succeeds, and after an outage', async () => {
    const probes: boolean[] = [];
    let ends = false;
    const worker = start({
      async probe(_, { atOnce }) {
        probes.push(atOnce);
        if (ends) scripted.add(1);
        return ends;
      },
    });
    expect(await take(worker)).to.equal(false);
    await take(worker);
    expect(probes).to.deep.equal([true, false]);
    expect([scripted.events, worker.isPrepared, worker.isIdle]).to.deep.equal([['prepare'], true, true]);
    scripted.givenUp.push('x');
    await take(worker);
    scripted.givenUp.push('x');
    scripted.add(9);
    await take(worker);
    await end(9);
    expect(probes, 'a given up row is no reason').to.have.lengthOf(2);
    scripted.givenUp.push('x', 'y', 'z');
    expect(await take(worker), 'but counts').to.equal(true);
    worker.isPrepared = false;
    ends = true;
    await take(worker);
    expect(probes).to.deep.equal([true, false, true]);
    expect(scripted.events).to.deep.equal(['prepare', 'send 09', 'accepted 09', 'prepare', 'send 01']);
    expect(scripted.claims).to.have.lengthOf(7);
  });

  it('returns the rows of a claim that failed, before it claims again', async () => {
    const worker = start();
    const leaseTokens: string[] = [];
    scripted.job.claim = async (_scope, _limit, leaseToken) => {
      leaseTokens.push(leaseToken);
      throw new Error('lost');
    };
    expect(await worker.takeDue().catch(String)).to.equal('Error: lost');
    expect([worker.state, worker.isPrepared]).to.deep.equal(['claiming', false]);
    answer = () => Promise.reject(new Error('away'));
    expect(await worker.takeDue().catch(String)).to.equal('Error: away');
    expect([worker.state, leaseTokens.length]).to.deep.equal(['returning', 1]);
    expect(statements()).to.deep.equal(['return_emails_of_claims_1']);
    expect(database.asked[0]?.values[0]).to.deep.equal(leaseTokens);
  });

  it('starts rows that need a check only if they pass', async () => {
    const checks = Promise.withResolvers<ReadonlySet<string>>();
    const asked: string[] = [];
    const worker = start({
      lanes: 4,
      needsCheck: ({ id }) => id !== scriptedId(1),
      async cancelUnwanted(_, rows) {
        asked.push(...rows.map((it) => it.id.slice(-2)));
        return await checks.promise;
      },
    });
    scripted.add(1, 2, 3, 4);
    const taking = worker.takeDue();
    await turns();
    expect([worker.state, asked, scripted.underWay()]).to.deep.equal(['checking', ['02', '03', '04'], [1]]);
    checks.resolve(new Set([scriptedId(3)]));
    await taking;
    await turns();
    expect(scripted.underWay()).to.deep.equal([1, 2, 4]);
    expect(statements()).to.deep.equal([]);
  });

  it('checks nothing if the job does not ask for it', async () => {
    for (const changes of [
      { needsCheck: () => true },
      { cancelUnwanted: async () => new Set([scriptedId(1)]) },
    ] satisfies Changes[]) {
      const worker = start(changes);
      scripted.add(1);
      await take(worker);
      expect(scripted.underWay()).to.deep.equal([1]);
    }
  });

  it('sends no row that it could not check, and returns it', async () => {
    const worker = start({ needsCheck: () => true, cancelUnwanted: () => Promise.reject(new Error('lost')) });
    scripted.add(1, 2);
    expect(await worker.takeDue().catch(String)).to.equal('Error: lost');
    expect([worker.state, worker.hasWaiting]).to.deep.equal(['checking', false]);
    await take(worker);
    expect(statements()).to.deep.equal(['return_emails_1']);
    for (const n of [1, 2]) expect(hasUuid(database.asked[0]?.values[0], scriptedId(n))).to.equal(true);
    expect([scripted.underWay(), worker.started]).to.deep.equal([[], 0]);
  });

  it('returns rows that waited for two seconds, and starts those behind them', async () => {
    const worker = start();
    scripted.add(1, 2);
    await take(worker);
    await end(1);
    await end(2);
    scripted.add(3, 4, 5);
    await take(worker);
    await clocks.pass(900);
    scripted.add(6);
    await take(worker);
    await clocks.pass(1200);
    await end(3);
    expect(scripted.underWay(), 'too late for the fifth').to.deep.equal([4]);
    scripted.job.claim = () => new Promise(() => {});
    void worker.takeDue();
    await turns();
    expect(statements()).to.deep.equal(['return_emails_1']);
    expect(hasUuid(database.asked[0]?.values[0], scriptedId(5))).to.equal(true);
    expect(scripted.underWay(), 'before it claims more').to.deep.equal([4, 6]);
  });

  for (const [found, goesOn, limit] of [
    // The fifth row starts, and the sixth waits.
    ['answers', true, undefined],
    // One lane rests; one row was finished within a second.
    ['away', false, 2],
    ['paused', false, 3],
    [undefined, false, 3],
  ] as const) {
    it(`that met no server: ${found ?? 'without a probe'}`, async () => {
      let asked = 0;
      const confirmAway = async () => {
        asked += 1;
        return found ?? 'paused';
      };
      const worker = start(found === undefined ? {} : { confirmAway });
      scripted.add(1, 2, 3, 4, 5, 6);
      await take(worker);
      await end(1);
      await end(2);
      await take(worker);
      // 3 and 4 are under way, 5 and 6 wait.
      await end(3, 'away');
      expect([asked, worker.isIdle], 'the other attempt may be accepted').to.deep.equal([0, false]);
      await clocks.pass(2000);
      expect(asked).to.equal(found === undefined ? 0 : 1);
      await end(4);
      expect(scripted.underWay()).to.deep.equal(goesOn ? [5] : []);
      scripted.claims.length = 0;
      await take(worker);
      expect(statements()).to.deep.equal(goesOn ? [] : ['return_emails_1']);
      expect(scripted.claims[0]?.limit).to.equal(limit);
      await clocks.pass(11_000);
      await take(worker);
      expect(scripted.claims.at(-1)?.limit, 'rested').to.equal(goesOn ? 1 : 2);
    });
  }

  it('gives up what waits if the transport is broken', async () => {
    const worker = start();
    scripted.add(1, 2, 3);
    await take(worker);
    await end(1);
    scripted.add(4, 5);
    await take(worker);
    await end(2, 'broken');
    expect(scripted.underWay()).to.deep.equal([3]);
    await take(worker);
    expect(statements()).to.deep.equal(['return_emails_1']);
  });

  it('takes its next turn after an attempt, after two seconds or at the stop', async () => {
    const worker = start();
    scripted.add(1, 2);
    await take(worker);
    const first = worker.nextTurn();
    expect(await isDone(first)).to.equal(false);
    await end(1);
    expect(await isDone(first)).to.equal(true);
    await clocks.pass(500);
    const second = worker.nextTurn();
    await clocks.pass(1999);
    expect(await isDone(second)).to.equal(false);
    await clocks.pass(1);
    expect(await isDone(second)).to.equal(true);
    const third = worker.nextTurn();
    expect(await isDone(third)).to.equal(false);
    stop.abort();
    expect(await isDone(third)).to.equal(true);
    expect(await isDone(worker.nextTurn())).to.equal(true);
    expect(await isDone(worker.nextTurn())).to.equal(true);
    scripted.add(3);
    await take(worker);
    expect(scripted.underWay(), 'after the stop it starts nothing').to.deep.equal([2]);
  });

  it('renews a lease after ten seconds, or as often as it is told', async () => {
    for (const renewAfterMs of [undefined, 20]) {
      const worker = start({}, { renewAfterMs });
      scripted.job.send = async (_, { onHandedOver }) => {
        onHandedOver?.();
        return await new Promise(() => {});
      };
      scripted.add(1);
      database.asked.length = 0;
      await take(worker);
      await clocks.pass((renewAfterMs ?? 10_000) - 1);
      expect(statements()).to.deep.equal([]);
      await clocks.pass(1);
      expect(statements()).to.deep.equal(['renew_emails_1']);
      expect(worker.started).to.equal(1);
    }
  });

  it('tags the log of an attempt with its row', async () => {
    const worker = start({ tags: () => ({ receipt: 'RW-1' }) });
    scripted.add(1);
    await take(worker);
    await end(1);
    expect(database.lines.at(-1)).to.include({ email: scriptedId(1), receipt: 'RW-1', msg: 'email sent' });
  });

  describe('stops', () => {
    it('after ten seconds for attempts, and ten more for what was handed over', async () => {
      const worker = start();
      scripted.add(1, 2, 3, 4);
      await take(worker);
      await end(1);
      await take(worker);
      // 2 and 3 are under way, 4 waits.
      const stopping = worker.stop();
      await turns();
      expect(worker.state).to.equal('stopping');
      expect(statements()).to.deep.equal(['return_emails_1']);
      await end(2);
      expect(scripted.underWay(), 'nothing that waited').to.deep.equal([3]);
      await clocks.pass(9999);
      expect([scripted.underWay(), await isDone(stopping)]).to.deep.equal([[3], false]);
      await clocks.pass(1);
      expect(scripted.events.slice(-2)).to.deep.equal(['later 03', 'close']);
      expect(await isDone(stopping)).to.equal(true);
    });

    it('at once if nothing is under way, also a job that closes nothing', async () => {
      expect(await isDone(start({ close: undefined } as object).stop())).to.equal(true);
    });

    it('sooner when it is hastened, and never fails', async () => {
      const hasten = new AbortController();
      const worker = start({}, { hasten: hasten.signal });
      scripted.add(1, 2, 3, 4);
      await take(worker);
      await end(1);
      await take(worker);
      answer = () => Promise.reject(new Error('away'));
      const stopping = worker.stop();
      expect(await isDone(stopping)).to.equal(false);
      hasten.abort();
      expect(await isDone(stopping)).to.equal(true);
      expect(scripted.events.slice(-3)).to.have.members(['close', 'later 02', 'later 03']);
      const [line] = database.lines.filter((it) => it.level === 'warn' && it.err !== undefined);
      expect(line?.msg).to.equal('rows that were not started wait until their leases expire');
    });
  });

  describe('in its loop', () => {
    const run = (changes: Changes = {}) => {
      scripted = scriptedJob(changes);
      const signal = createNewMailSignal();
      const hasten = new AbortController();
      const running = runDeliveryLoop(database.context, scripted.job, signal, stop.signal, hasten.signal);
      return { signal, running, hasten, claims: () => scripted.claims.length };
    };

    it('looks every five seconds, and when there is new mail', async () => {
      const { signal, running, claims } = run();
      await turns();
      expect(claims()).to.equal(1);
      await clocks.pass(4999);
      expect(claims()).to.equal(1);
      await clocks.pass(1);
      expect(claims()).to.equal(2);
      scripted.add(1);
      signal.raise();
      await turns();
      expect([claims(), scripted.underWay()]).to.deep.equal([3, [1]]);
      await end(1);
      stop.abort();
      await running;
      expect(scripted.events.slice(-2)).to.deep.equal(['accepted 01', 'close']);
      expect(database.said()).to.deep.equal(['info: email sent']);
    });

    it('goes on as soon as a lane is free', async () => {
      const { running, claims, signal, hasten } = run();
      scripted.givenUp.push('x', 'y');
      scripted.add(1, 2, 3);
      await turns();
      expect([claims(), scripted.underWay()], 'at once after two that were given up').to.deep.equal([2, [1, 2]]);
      for (const n of [1, 2, 3]) await end(n);
      scripted.add(4, 5, 6);
      const before = claims();
      signal.raise();
      await turns();
      expect([claims(), scripted.underWay()], 'one waits, where three may').to.deep.equal([before + 2, [4, 5]]);
      await end(4);
      expect([claims(), scripted.underWay()], 'without a signal').to.deep.equal([before + 3, [5, 6]]);
      stop.abort();
      expect(await isDone(running)).to.equal(false);
      hasten.abort();
      expect(await isDone(running)).to.equal(true);
    });

    it('waits a second after an error, and says so once', async () => {
      let failures = 2;
      const { running, claims, signal } = run({
        prepare: async () => {
          scripted.events.push('prepare');
          if (failures-- > 0) throw new Error('away');
        },
      });
      await turns();
      await clocks.pass(999);
      expect(scripted.events).to.deep.equal(['prepare']);
      await clocks.pass(1);
      expect(scripted.events).to.deep.equal(['prepare', 'prepare']);
      expect(database.lines.map((it) => [it.msg, it.state])).to.deep.equal([
        ['delivery waits: the database does not answer', 'claiming'],
      ]);
      await clocks.pass(1000);
      expect(claims()).to.equal(1);
      signal.raise();
      await turns();
      expect(claims()).to.equal(2);
      expect(database.said()).to.deep.equal([
        'error: delivery waits: the database does not answer',
        'info: delivery goes on: the database is back',
      ]);
      failures = 1;
      answer = () => [];
      scripted.job.claim = () => Promise.reject(new Error('away'));
      signal.raise();
      await turns();
      expect(database.said()).to.have.lengthOf(3);
      await clocks.pass(1000);
      expect(scripted.events, 'prepared again').to.have.lengthOf(4);
      stop.abort();
      await running;
      expect(database.said()).to.have.lengthOf(3);
    });

    it('ends when nothing is due or under way, if it is to deliver once', async () => {
      const once = async (changes: Changes = {}) => {
        scripted = scriptedJob(changes);
        scripted.givenUp.push('x', 'y');
        scripted.add(1, 2, 3);
        return deliverUntilIdle(database.context, scripted.job, stop.signal);
      };
      const delivering = once();
      await turns();
      expect(scripted.underWay()).to.deep.equal([1, 2]);
      await end(1);
      expect([scripted.underWay(), await isDone(delivering)]).to.deep.equal([[2, 3], false]);
      await end(2);
      await end(3);
      expect(await delivering).to.equal(3);
      expect(scripted.events.at(-1)).to.equal('close');

      const failing = once({ prepare: () => Promise.reject(new Error('away')) });
      expect(await failing.catch(String)).to.equal('Error: away');
      expect(scripted.events).to.deep.equal(['close']);
      stop.abort();
      expect(await once()).to.equal(0);
      expect(scripted.claims).to.deep.equal([]);
    });
  });
});
