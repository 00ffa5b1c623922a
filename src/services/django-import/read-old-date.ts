/** When an old row was written, and that moment as it stood there. */
export interface OldDate {
  at: Date;
  /** Whether it names its zone. */
  zoned: boolean;
  /** The same for every way of writing one moment, whatever zone is assumed for those that name none. */
  canonical: string;
}

/** What Django and its databases write (ISO 8601, with a space or a T), to the day or to the microsecond. */
const written =
  /^(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|([+-])(\d\d)(?::?(\d\d))?)?)?$/i;

/**
 * Makes a reader of dates, with or without time and zone; it returns undefined for what is no date.
 *
 * @param timeZone of dates that name none, such as `Europe/Amsterdam`.
 * @throws {RangeError} for a zone that there is none of.
 */
export function createDateReader(timeZone: string): (text: string) => OldDate | undefined {
  const clock = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
    second: 'numeric',
  });
  /** How far the clocks of the zone are ahead of UTC, in milliseconds. */
  const offsetAt = (instant: number): number => {
    const shown = new Map(clock.formatToParts(instant).map((it) => [it.type, Number(it.value)]));
    const field = (type: Intl.DateTimeFormatPartTypes) => shown.get(type) ?? 0;
    const wall = Date.UTC(
      field('year'),
      field('month') - 1,
      field('day'),
      field('hour'),
      field('minute'),
      field('second'),
    );
    return wall - Math.floor(instant / 1000) * 1000;
  };
  /** The moment at which the clocks showed this; where they were set forward or back, one close by. */
  const instantOf = (wall: number) => wall - offsetAt(wall - offsetAt(wall));

  return (text) => {
    const found = written.exec(text.trim());
    const wall = found === null ? undefined : wallOf(found);
    if (found === null || wall === undefined) return undefined;
    const [, , , , , , , fraction = '', zone, sign, hours = '0', minutes = '0'] = found;
    const offset = (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
    return {
      at: new Date(zone === undefined ? instantOf(wall) : wall - offset),
      zoned: zone !== undefined,
      canonical: `${new Date(wall - offset).toISOString().slice(0, 19)}.${fraction.padEnd(6, '0').slice(0, 6)}`,
    };
  };
}

/** Year to millisecond as if they were in UTC; undefined for the 30th of February and the like. */
function wallOf(found: RegExpExecArray): number | undefined {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found
    .slice(1, 7)
    .map((it) => Number(it ?? 0));
  const milliseconds = Number((found[7] ?? '').padEnd(3, '0').slice(0, 3));
  const wall = new Date(Date.UTC(year, month - 1, day, hour, minute, second, milliseconds));
  const isSame =
    wall.getUTCFullYear() === year &&
    wall.getUTCMonth() === month - 1 &&
    wall.getUTCDate() === day &&
    wall.getUTCHours() === hour &&
    wall.getUTCMinutes() === minute &&
    wall.getUTCSeconds() === second;
  return isSame ? wall.getTime() : undefined;
}
