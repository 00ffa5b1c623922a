import { expect } from 'chai';
import { formatExact, formatRelative, readFuture, readMoment } from '../../src/cli/terminal/times.ts';
import { Problem } from '../../src/problems.ts';

describe('times', () => {
  const now = new Date('2026-11-22T12:00:00.000Z');
  const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000);

  it('are shown as a distance, in the largest unit that fits', () => {
    const told: [seconds: number, text: string][] = [
      [0, 'just now'],
      [4, 'just now'],
      [5, '5 s ago'],
      [59, '59 s ago'],
      [60, '1 min ago'],
      [3599, '59 min ago'],
      [3600, '1 h ago'],
      [86_399, '23 h ago'],
      [86_400, '1 d ago'],
      [28 * 86_400, '28 d ago'],
      [28 * 86_400 + 1, '2026-10-25'],
      [-90, 'in 1 min'],
      [-29 * 86_400, '2026-12-21'],
    ];
    for (const [seconds, text] of told) expect(formatRelative(ago(seconds), now), String(seconds)).to.equal(text);
  });

  it('are exact in UTC', () => {
    expect(formatExact(new Date('2026-01-02T03:04:05.678Z'))).to.equal('2026-01-02 03:04:05Z');
  });

  it('are read as people type them', () => {
    const read: [text: string, iso: string][] = [
      ['2d', '2026-11-20T12:00:00.000Z'],
      ['90m', '2026-11-22T10:30:00.000Z'],
      ['90 min', '2026-11-22T10:30:00.000Z'],
      ['3h', '2026-11-22T09:00:00.000Z'],
      ['1w', '2026-11-15T12:00:00.000Z'],
      ['2026-11-01', '2026-11-01T00:00:00.000Z'],
      ['2026-11-01T07:33', '2026-11-01T07:33:00.000Z'],
      ['2026-11-01 07:33:05', '2026-11-01T07:33:05.000Z'],
      ['2026-11-01T07:33:05.678Z', '2026-11-01T07:33:05.678Z'],
      ['2026-11-01T00:33+02:00', '2026-10-31T22:33:00.000Z'],
    ];
    for (const [text, iso] of read) expect(readMoment('--since', text, now).toISOString(), text).to.equal(iso);
  });

  it('are limited to years that the database and ids support', () => {
    for (const text of ['1970-01-01', '9999-12-31T23:59:59Z', '2900w']) readMoment('--since', text, now);
    for (const text of ['0000-01-01', '1969-12-31', '9999-12-31T23:59:59-23:59', '999999w']) {
      expect(() => readMoment('--since', text, now), text).to.throw(Problem, '--since');
    }
    expect(() => readFuture('--expires', '999999w', now)).to.throw(Problem, '--expires');
    expect(readFuture('--expires', '3000w', now).getUTCFullYear()).to.equal(2084);
  });

  it('are rejected if invalid', () => {
    for (const text of ['', 'yesterday', '2', '-2d', '2d3h', '2026-02-30', '2026-13-01', '2026-11-01T25:00', '1e3d']) {
      expect(() => readMoment('--since', text, now), text).to.throw(Problem, '--since');
    }
  });
});
