import { expect } from 'chai';
import { decideNextStep, maxTries } from '../../src/services/delivery/retry-schedule.ts';

const minute = 60_000;
const notification = (tries: number) => ({ kind: 'notification' as const, tries });

describe('decideNextStep', () => {
  it('retries eight times, after 1 minute to 24 hours, then fails', () => {
    const steps = Array.from({ length: maxTries }, (_, i) =>
      decideNextStep(notification(i + 1), { result: 'later' }, 0),
    );
    expect(steps.slice(0, -1).map((it) => it.waitMs / minute)).to.deep.equal([1, 5, 30, 120, 360, 720, 1440, 1440]);
    expect(steps.every((it) => it.counts)).to.equal(true);
    expect(steps.at(-1)).to.include({ state: 'failed', failure: 'schedule-ended' });
  });

  it('waits up to a fifth longer by jitter, never less', () => {
    expect(decideNextStep(notification(1), { result: 'later' }, 0.999).waitMs).to.be.within(minute, 1.2 * minute);
  });

  it('waits longer if the server asks, up to a day, and never less', () => {
    const waitFor = (tries: number, retryAfterMs: number, random = 0) =>
      decideNextStep(notification(tries), { result: 'later', retryAfterMs }, random).waitMs;
    expect(waitFor(1, 7 * minute)).to.equal(7 * minute);
    expect(waitFor(1, 7 * minute, 0.5), 'with jitter').to.equal(7.7 * minute);
    expect(waitFor(3, 7 * minute)).to.equal(30 * minute);
    expect(waitFor(1, 1)).to.equal(minute);
    expect(waitFor(1, 1e12)).to.equal(1440 * minute);
  });

  it('after an unknown outcome, resends only notifications', () => {
    expect(decideNextStep(notification(1), { result: 'unknown' }, 0)).to.include({ state: 'queued', waitMs: minute });
    expect(decideNextStep(notification(maxTries), { result: 'unknown' }, 0)).to.include({
      state: 'failed',
      failure: 'outcome-unknown',
    });
    expect(decideNextStep({ kind: 'auto-reply', tries: 1 }, { result: 'unknown' }, 0)).to.include({
      state: 'failed',
      failure: 'outcome-unknown',
    });
  });

  it('does not count an attempt when the transport is broken', () => {
    expect(decideNextStep(notification(maxTries), { result: 'broken' }, 0)).to.include({
      state: 'queued',
      counts: false,
    });
  });

  it('waits five seconds for a server that is away, with jitter if it is broken', () => {
    const stepAfter = (result: 'broken' | 'away') => decideNextStep(notification(1), { result }, 1);
    expect(stepAfter('broken')).to.deep.equal({ state: 'queued', failure: null, waitMs: 6000, counts: false });
    expect(stepAfter('away')).to.deep.equal({ state: 'queued', failure: null, waitMs: 5000, counts: false });
  });

  it("ends on the server's acceptance or permanent rejection", () => {
    expect(decideNextStep(notification(1), { result: 'accepted' }, 0)).to.deep.equal({
      ...{ state: 'sent', failure: null, waitMs: 0, counts: true },
    });
    expect(decideNextStep(notification(1), { result: 'refused' }, 0)).to.include({
      state: 'failed',
      failure: 'refused',
    });
  });
});
