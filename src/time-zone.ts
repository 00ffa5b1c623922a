import type { Language } from './words.ts';

/** Whether it is a name of a time zone, such as `Europe/Berlin`. */
export function isTimeZone(name: string): boolean {
  try {
    return Intl.DateTimeFormat('en', { timeZone: name }) !== undefined;
  } catch {
    return false;
  }
}

/** A British reader's names of zones; the sign behind the day; the word before the hour. */
const writings: Readonly<Record<Language, [locale: string, dot: string, at: string]>> = {
  en: ['en-GB', '', 'at'],
  de: ['de-DE', '.', 'um'],
};

/**
 * Writes times for people, as in `22 November 2026 at 08:33 CET`. The month is a word, since 01/02 is January or February
 * depending on the reader.
 *
 * @param timeZone must exist. A zone without a short name in this language becomes `GMT-5`.
 */
export function timeWriter(timeZone: string, language: Language = 'en'): (time: Date) => string {
  const [locale, dot, at] = writings[language];
  const format = new Intl.DateTimeFormat(locale, {
    ...({ timeZone, day: 'numeric', month: 'long', year: 'numeric' } as const),
    ...({ hour: '2-digit', minute: '2-digit', hourCycle: 'h23', timeZoneName: 'short' } as const),
  });
  return (time) => {
    // Not the text of `format`, whose commas change with Node's data.
    const part = Object.fromEntries(format.formatToParts(time).map((it) => [it.type, it.value]));
    return `${part.day}${dot} ${part.month} ${part.year} ${at} ${part.hour}:${part.minute} ${part.timeZoneName}`;
  };
}

/** A time as it was written. */
export interface WrittenTime {
  at: Date;
  /** Whether the text names its time zone. */
  zoned: boolean;
  /** The same text for every way to write one moment, whatever zone is assumed for times without one. */
  canonical: string;
}

/** ISO 8601 as databases and people write it: with a space or a T, from the day alone down to the nanosecond. */
const isoTime =
  /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|UTC|GMT|([+-])(\d\d)(?::?(\d\d))?)?)?$/i;

/** Reads one time. Without a time zone it is read as UTC. */
export function readWrittenTime(text: string): WrittenTime | undefined {
  const parts = isoTime.exec(text.trim());
  if (parts === null) return undefined;
  const [, day, minute = '00:00', second = '00', fraction = '', zone, sign, hours = '0', minutes = '0'] = parts;
  const local = `${day}T${minute}:${second}`;
  const localMs = Date.parse(`${local}Z`);
  // JavaScript reads February 30 as March 1, and 24:00 as the next day.
  if (Number.isNaN(localMs) || !new Date(localMs).toISOString().startsWith(local)) return undefined;
  const ms = localMs - (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)) * 60_000;
  return {
    at: new Date(ms + Number(fraction.padEnd(3, '0').slice(0, 3))),
    zoned: zone !== undefined,
    canonical: `${new Date(ms).toISOString().slice(0, 19)}.${fraction.padEnd(6, '0').slice(0, 6)}`,
  };
}

/**
 * Converts local times, given in milliseconds as if they were UTC. As in PostgreSQL, one that comes twice is the second, and
 * one that the clock skips is read as after the skip.
 *
 * @param timeZone must exist.
 */
export function zoneReader(timeZone: string): (localMs: number) => Date {
  const format = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' });
  const offsetAt = (ms: number) => {
    const [, sign, hours = 0, minutes = 0, seconds = 0] =
      /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(format.format(ms)) ?? [];
    return (sign === '-' ? -1000 : 1000) * (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds));
  };
  return (localMs) => {
    const [before, after] = [offsetAt(localMs - 86_400_000), offsetAt(localMs + 86_400_000)];
    return new Date(localMs - (offsetAt(localMs - after) === after ? after : before));
  };
}
