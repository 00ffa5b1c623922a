import { expect } from 'chai';
import { readWrittenTime, zoneReader } from '../../src/time-zone.ts';

describe('readWrittenTime', () => {
  const read = (text: string) => readWrittenTime(text)?.at.toISOString();

  it('reads the formats of Django, PostgreSQL and SQLite', () => {
    expect(read('2024-05-01 12:30:15.123456+00')).to.equal('2024-05-01T12:30:15.123Z');
    expect(read('2024-05-01 12:30:15.5')).to.equal('2024-05-01T12:30:15.500Z');
    expect(read('2024-05-01 12:30:15')).to.equal('2024-05-01T12:30:15.000Z');
    expect(read('2024-05-01T12:30')).to.equal('2024-05-01T12:30:00.000Z');
    expect(read('2024-05-01')).to.equal('2024-05-01T00:00:00.000Z');
    expect(read('2024-05-01T12:30:15.123Z')).to.equal('2024-05-01T12:30:15.123Z');
    expect(read('2024-05-01 12:30:15+0530')).to.equal('2024-05-01T07:00:15.000Z');
    expect(read('2024-05-01 12:30:15-03:30')).to.equal('2024-05-01T16:00:15.000Z');
    expect(read('1969-07-20 20:17:40.25')).to.equal('1969-07-20T20:17:40.250Z');
  });

  it('has one canonical text for a moment, to the microsecond', () => {
    for (const text of [
      '2024-05-01 12:30:15.123456',
      ' 2024-05-01T12:30:15,1234567 ',
      '2024-05-01 12:30:15.123456+00',
      '2024-05-01T14:30:15.123456+02',
      '2024-05-01 07:00:15.123456-0530',
    ]) {
      expect(readWrittenTime(text)?.canonical, text).to.equal('2024-05-01T12:30:15.123456');
    }
    expect(readWrittenTime('2024-05-01')?.canonical).to.equal('2024-05-01T00:00:00.000000');
  });

  it('says whether the text names its zone', () => {
    for (const text of ['2024-05-01 12:30Z', '2024-05-01 12:30 +00', '2024-05-01T12:30:15-0330']) {
      expect(readWrittenTime(text)?.zoned, text).to.equal(true);
    }
    for (const text of ['2024-05-01 12:30', '2024-05-01']) expect(readWrittenTime(text)?.zoned, text).to.equal(false);
  });

  it('refuses everything else', () => {
    for (const text of [
      '',
      'yesterday',
      '2024-02-30',
      '2024-13-01',
      '2023-02-29 10:00Z',
      '2024-05-01 24:00',
      '2024-05-01 24:00:01',
      '2024-05-01 12:60',
      '01/05/2024',
      '1714550400',
      'infinity',
      '0001-01-01 00:00:00 BC',
      '2024-05-01 12:30:15 CEST',
    ]) {
      expect(read(text), text).to.equal(undefined);
    }
  });
});

describe('zoneReader', () => {
  for (const [zone, local, at] of [
    ['UTC', '2026-12-24T18:00', '2026-12-24T18:00'],
    ['Europe/Berlin', '2026-12-24T18:00', '2026-12-24T17:00'],
    ['Europe/Berlin', '2026-07-01T00:00', '2026-06-30T22:00'],
    // The clock goes from 2 to 3, and later from 3 to 2.
    ['Europe/Berlin', '2026-03-29T01:59', '2026-03-29T00:59'],
    ['Europe/Berlin', '2026-03-29T02:30', '2026-03-29T01:30'],
    ['Europe/Berlin', '2026-03-29T03:00', '2026-03-29T01:00'],
    ['Europe/Berlin', '2026-10-25T01:59', '2026-10-24T23:59'],
    ['Europe/Berlin', '2026-10-25T02:30', '2026-10-25T01:30'],
    ['Europe/Berlin', '2026-10-25T03:00', '2026-10-25T02:00'],
    ['Asia/Kathmandu', '2026-01-01T00:00', '2025-12-31T18:15'],
    ['America/St_Johns', '2026-01-01T00:00', '2026-01-01T03:30'],
    ['Pacific/Kiritimati', '2026-01-01T00:00', '2025-12-31T10:00'],
  ] as const) {
    it(`reads ${local} in ${zone}`, () => {
      const read = zoneReader(zone)(Date.parse(`${local}Z`));
      expect(read.toISOString()).to.equal(`${at}:00.000Z`);
    });
  }
});
