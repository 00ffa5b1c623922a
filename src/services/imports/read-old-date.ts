import { Problem } from '../../problems.ts';
import { isTimeZone, readWrittenTime, type WrittenTime, zoneReader } from '../../time-zone.ts';

/**
 * `+02:00` is no name: other programs read it as two hours to the west.
 *
 * @throws {Problem} argument-invalid
 */
export function checkTimeZone(timeZone: string): void {
  if (/^[a-z]/i.test(timeZone) && isTimeZone(timeZone)) return;
  throw new Problem('argument-invalid', `there is no time zone "${timeZone}": use a name like Europe/Amsterdam or UTC`);
}

/** Reads one date for each text. @param timeZone for dates without one. */
export function readOldDates(texts: readonly string[], timeZone: string): (WrittenTime | undefined)[] {
  const inZone = zoneReader(timeZone);
  return texts.map((text) => {
    const date = readWrittenTime(text);
    return date === undefined || date.zoned ? date : { ...date, at: inZone(date.at.getTime()) };
  });
}
