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
