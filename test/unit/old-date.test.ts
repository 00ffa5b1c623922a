import { expect } from 'chai';
import { createDateReader } from '../../src/services/django-import/read-old-date.ts';

describe('createDateReader', () => {
  const read = (text: string, zone = 'UTC') => createDateReader(zone)(text)?.at.toISOString();

  it('reads what Django, PostgreSQL and SQLite write', () => {
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

  it('takes dates that name no zone as of the one assumed, summer and winter', () => {
    expect(read('2024-01-15 12:00:00', 'Europe/Amsterdam')).to.equal('2024-01-15T11:00:00.000Z');
    expect(read('2024-07-15 12:00:00.5', 'Europe/Amsterdam')).to.equal('2024-07-15T10:00:00.500Z');
    expect(read('2024-07-15', 'America/New_York')).to.equal('2024-07-15T04:00:00.000Z');
    expect(read('2024-07-15 12:00:00+00', 'Europe/Amsterdam')).to.equal('2024-07-15T12:00:00.000Z');
    // The clocks went from 2 to 3 on this day.
    expect(read('2024-03-31 01:59:59', 'Europe/Amsterdam')).to.equal('2024-03-31T00:59:59.000Z');
    expect(read('2024-03-31 03:00:00', 'Europe/Amsterdam')).to.equal('2024-03-31T01:00:00.000Z');
  });

  it('writes one moment in one way, with what milliseconds leave out, whatever zone is assumed', () => {
    const canonical = (text: string, zone: string) => createDateReader(zone)(text)?.canonical;
    for (const text of [
      '2024-05-01 12:30:15.123456',
      '2024-05-01 12:30:15.123456+00',
      '2024-05-01T14:30:15.123456+02',
    ]) {
      for (const zone of ['UTC', 'Asia/Tokyo']) expect(canonical(text, zone)).to.equal('2024-05-01T12:30:15.123456');
    }
  });

  it('takes nothing else', () => {
    for (const text of [
      '',
      'yesterday',
      '2024-02-30',
      '2024-13-01',
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
    expect(() => createDateReader('Europe/Nowhere')).to.throw(RangeError);
  });
});
