import { getEventListeners } from 'node:events';
import { expect } from 'chai';
import { ClaimedAhead } from '../../src/services/delivery/claimed-ahead.ts';
import { Lanes } from '../../src/services/delivery/lanes.ts';
import { createNewMailSignal, listenForNewMail } from '../../src/services/delivery/new-mail-signal.ts';
import { createDatabase } from '../support/database.ts';
import { isDone, stoppedClocks, turns } from '../support/scripted.ts';

describe('the lanes of a worker', () => {
  const stop = new AbortController().signal;

  it('are free again when their work ends, and wake the worker then', async () => {
    const seen: unknown[] = [];
    const lanes = new Lanes(2, () => seen.push('wake'));
    const [first, second] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    for (const it of [first, second]) lanes.start(it.promise, () => seen.push(lanes.free));
    expect([lanes.free, lanes.busy]).to.deep.equal([0, 2]);
    const done = lanes.allDone();
    first.resolve();
    await turns();
    expect(seen).to.deep.equal([1, 'wake']);
    expect([lanes.free, lanes.busy, await isDone(done)]).to.deep.equal([1, 1, false]);
    second.resolve();
    await done;
    expect([lanes.free, lanes.busy]).to.deep.equal([2, 0]);
  });

  it('rest for eleven seconds, and then wake the worker', async () => {
    using clocks = stoppedClocks();
    let woken = 0;
    const lanes = new Lanes(2, () => woken++);
    lanes.rest();
    await clocks.pass(10_999);
    expect([lanes.free, lanes.busy, woken]).to.deep.equal([1, 0, 0]);
    await clocks.pass(1);
    expect([lanes.free, lanes.busy, woken]).to.deep.equal([2, 0, 1]);
  });

  it('wait for the attempts of the others, for two seconds or until the stop', async () => {
    using clocks = stoppedClocks();
    const lanes = new Lanes(2, () => {});
    await lanes.follow(Promise.reject(new Error('failed'))).catch(() => {});
    expect(await isDone(lanes.othersEnd(stop)), 'without any').to.equal(true);

    const attempt = Promise.withResolvers<string>();
    const followed = lanes.follow(attempt.promise);
    const waiting = [lanes.othersEnd(stop), lanes.othersEnd(AbortSignal.abort()), lanes.othersEnd(stop)] as const;
    expect(await isDone(waiting[0])).to.equal(false);
    expect(await isDone(waiting[1])).to.equal(true);
    await clocks.pass(1999);
    expect(await isDone(waiting[0])).to.equal(false);
    await clocks.pass(1);
    expect(await isDone(waiting[0])).to.equal(true);

    const more = lanes.othersEnd(stop);
    attempt.resolve('sent');
    expect(await followed).to.equal('sent');
    expect(await isDone(more)).to.equal(true);
  });
});

describe('rows that a worker has claimed ahead', () => {
  const rowsOf = (...ids: string[]) => ids.map((id) => ({ id }));
  const idsOf = (rows: { id: string }[]) => rows.map((it) => it.id).join('');
  const ahead = (checked = '') => new ClaimedAhead<{ id: string }>(2, ({ id }) => checked.includes(id));

  it('are as many as ended within a second, up to two a lane', () => {
    using clocks = stoppedClocks();
    const claimed = ahead();
    expect(claimed.maxSize).to.equal(0);
    claimed.countFinished();
    clocks.setSteady(400);
    claimed.countFinished();
    clocks.setSteady(600);
    expect(claimed.maxSize).to.equal(2);
    clocks.setSteady(1);
    expect(claimed.maxSize).to.equal(1);
    for (let n = 0; n < 5; n++) claimed.countFinished();
    expect(claimed.maxSize).to.equal(4);
    clocks.setSteady(1001);
    expect(claimed.maxSize).to.equal(0);
  });

  it('start in order, for two seconds by both clocks', () => {
    using clocks = stoppedClocks();
    for (const later of [clocks.setSteady, clocks.setDate]) {
      const claimed = ahead();
      expect(claimed.takeNext()).to.equal(undefined);
      claimed.add(rowsOf('a', 'b', 'c'));
      expect(claimed.size).to.equal(3);
      expect(claimed.takeNext()?.id).to.equal('a');
      later(1000);
      claimed.add(rowsOf('d'));
      later(1000);
      expect(idsOf(claimed.takeStale())).to.equal('');
      expect(claimed.takeNext()?.id).to.equal('b');
      later(1);
      expect(claimed.takeNext()).to.equal(undefined);
      expect(idsOf(claimed.takeStale())).to.equal('c');
      expect(claimed.size).to.equal(1);
      expect(claimed.takeNext()?.id).to.equal('d');
      expect(idsOf(claimed.takeStale())).to.equal('');
      expect(claimed.size).to.equal(0);
    }
  });

  it('wait for their check, if they need one', () => {
    const claimed = ahead('bc');
    claimed.add(rowsOf('a', 'b', 'c'));
    expect([claimed.size, idsOf(claimed.notYetChecked)]).to.deep.equal([1, 'bc']);
    claimed.letPass(new Set('b'));
    expect([claimed.size, claimed.notYetChecked]).to.deep.equal([2, []]);
    expect([claimed.takeNext()?.id, claimed.takeNext()?.id]).to.deep.equal(['a', 'c']);
    const unchecked = new ClaimedAhead<{ id: string }>(2);
    unchecked.add(rowsOf('a'));
    expect(unchecked.takeNext()?.id).to.equal('a');
  });

  it('never start if they are given up, checked or not', () => {
    const claimed = ahead('b');
    claimed.add(rowsOf('a', 'b'));
    claimed.giveUpAll();
    claimed.add(rowsOf('c'));
    claimed.letPass(new Set());
    expect(claimed.takeNext()).to.equal(undefined);
    expect(idsOf(claimed.takeStale())).to.equal('ab');
    expect(claimed.takeNext()?.id).to.equal('c');
  });
});

describe('the signal for new mail', () => {
  it('ends a wait, and is kept if nobody waits', async () => {
    using clocks = stoppedClocks();
    const signal = createNewMailSignal();
    const stop = new AbortController();
    const wait = () => signal.wait(5000, stop.signal);
    const first = wait();
    await clocks.pass(4000);
    expect(await isDone(first)).to.equal(false);
    signal.raise();
    expect(await isDone(first)).to.equal(true);
    expect(getEventListeners(stop.signal, 'abort')).to.deep.equal([]);
    const second = wait();
    // When the first would have ended.
    await clocks.pass(1000);
    signal.raise();
    expect(await isDone(second)).to.equal(true);
    signal.raise();
    const kept = wait();
    await clocks.pass(0);
    expect(await isDone(kept), 'raised before').to.equal(true);
    const timed = wait();
    await clocks.pass(4999);
    expect(await isDone(timed)).to.equal(false);
    await clocks.pass(1);
    expect(await isDone(timed)).to.equal(true);
    const stopped = wait();
    await clocks.pass(0);
    expect(await isDone(stopped)).to.equal(false);
    stop.abort();
    expect(await isDone(stopped)).to.equal(true);
    const late = wait();
    await clocks.pass(0);
    expect(await isDone(late)).to.equal(true);
  });

  it('is raised for emails and for deliveries when a process begins to listen', async () => {
    await using db = await createDatabase();
    const signals = [createNewMailSignal(), createNewMailSignal()] as const;
    const never = new AbortController().signal;
    const raised = Promise.all(signals.map((it) => it.wait(1_000_000, never)));
    await using _listening = listenForNewMail({ databaseUrl: db.url }, ...signals);
    await raised;
  });
});
