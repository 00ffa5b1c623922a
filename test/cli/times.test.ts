import { expect } from 'chai';
import { dayBefore, formatExact, formatRelative, readFuture, readMoment } from '../../src/cli/terminal/times.ts';
import { Problem } from '../../src/problems.ts';

describe('times', () => {
  const now = new Date('2026-11-22T12:00:00.000Z');
  const inZone = <T>(zone: string, act: () => T): T => {
    process.env.TZ = zone;
    try {
      return act();
    } finally {
      process.env.TZ = 'UTC';
    }
  };
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

  it('are exact in the time zone of the terminal, or in UTC, and are read again', () => {
    const at = new Date('2026-01-02T23:04:05.678Z');
    for (const [zone, text] of [
      ['UTC', '2026-01-02 23:04:05Z'],
      ['Europe/London', '2026-01-02 23:04:05Z'],
      ['Europe/Berlin', '2026-01-03 00:04:05+01:00'],
      ['America/St_Johns', '2026-01-02 19:34:05-03:30'],
      ['Asia/Kathmandu', '2026-01-03 04:49:05+05:45'],
    ] as const) {
      inZone(zone, () => {
        expect(formatExact(at), zone).to.equal(text);
        expect(formatExact(at, true), zone).to.equal('2026-01-02 23:04:05Z');
        expect(readMoment('--since', text, now).toISOString(), zone).to.equal('2026-01-02T23:04:05.000Z');
        expect(formatRelative(at, now), 'more than four weeks away').to.equal(text.slice(0, 10));
      });
    }
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

  it('are read in the time zone of the terminal, also when clocks change', () => {
    const sunday = new Date('2026-03-29T22:30:00.000Z');
    const read: [zone: string, text: string, iso: string, utc?: string][] = [
      ['Europe/Berlin', 'today', '2026-03-29T22:00:00.000Z', '2026-03-29T00:00:00.000Z'],
      ['Europe/Berlin', 'yesterday', '2026-03-28T23:00:00.000Z', '2026-03-28T00:00:00.000Z'],
      ['Europe/Berlin', ' Monday', '2026-03-29T22:00:00.000Z', '2026-03-23T00:00:00.000Z'],
      ['Europe/Berlin', 'sunday', '2026-03-28T23:00:00.000Z', '2026-03-29T00:00:00.000Z'],
      ['Europe/Berlin', '2h', '2026-03-29T20:30:00.000Z', '2026-03-29T20:30:00.000Z'],
      ['Europe/Berlin', '2026-03-29', '2026-03-28T23:00:00.000Z', '2026-03-29T00:00:00.000Z'],
      ['Europe/Berlin', '2026-03-29T02:30', '2026-03-29T01:30:00.000Z', '2026-03-29T02:30:00.000Z'],
      ['Europe/Berlin', '2026-10-25T02:30', '2026-10-25T00:30:00.000Z', '2026-10-25T02:30:00.000Z'],
      ['Europe/Berlin', '2026-10-25T02:30+01:00', '2026-10-25T01:30:00.000Z', '2026-10-25T01:30:00.000Z'],
      ['Europe/Berlin', '2026-03-29T03:30Z', '2026-03-29T03:30:00.000Z', '2026-03-29T03:30:00.000Z'],
      ['America/New_York', 'today', '2026-03-29T04:00:00.000Z'],
      ['America/New_York', 'monday', '2026-03-23T04:00:00.000Z'],
      ['Africa/Cairo', '2026-04-24', '2026-04-23T22:00:00.000Z'],
    ];
    for (const [zone, text, iso, utc] of read) {
      inZone(zone, () => {
        expect(readMoment('--since', text, sunday).toISOString(), `${zone} ${text}`).to.equal(iso);
        if (utc) expect(readMoment('--since', text, sunday, true).toISOString(), `${text} --utc`).to.equal(utc);
      });
    }
    inZone('Europe/Berlin', () => {
      expect(readFuture('--expires', '2027-07-01', now).toISOString()).to.equal('2027-06-30T22:00:00.000Z');
      expect(dayBefore(sunday, 1)).to.deep.equal({ day: '2026-03-29', start: new Date('2026-03-28T23:00:00.000Z') });
    });
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
    for (const text of [
      '',
      'tomorrow',
      'mon',
      '2',
      '-2d',
      '2d3h',
      '2026-02-30',
      '2026-13-01',
      '2026-11-01T25:00',
      '1e3d',
    ]) {
      expect(() => readMoment('--since', text, now), text).to.throw(Problem, '--since');
    }
    for (const text of ['today', 'monday', '2026-02-30']) {
      expect(() => readFuture('--expires', text, now), text).to.throw(Problem, /--expires .* write 90d/);
    }
  });
});
