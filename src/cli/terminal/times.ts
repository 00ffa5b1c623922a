import { Problem } from '../../problems.ts';
import { type Day, formatSpan, isInKnownYears, spanUnits } from '../../services/clock.ts';

const second = 1000;
const day = 24 * 3600 * second;
const week = 7 * day;

// Times are shown and read in the terminal's time zone, which is that of `Date` (decision 95), or in UTC.

/** `2026-11-22 08:33:05+01:00`, or `2026-11-22 07:33:05Z`. `readMoment` reads both. */
export function formatExact(at: Date, isUtc = false): string {
  const offset = isUtc ? 0 : Math.round(-at.getTimezoneOffset());
  const text = new Date(at.getTime() + offset * 60 * second).toISOString().slice(0, 19).replace('T', ' ');
  if (offset === 0) return `${text}Z`;
  const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60].map((it) =>
    String(it).padStart(2, '0'),
  );
  return `${text}${offset < 0 ? '-' : '+'}${hours}:${minutes}`;
}

/** `3 min ago`, `in 2 h`; the date if it is more than four weeks away. */
export function formatRelative(at: Date, now: Date): string {
  const distance = at.getTime() - now.getTime();
  const span = Math.abs(distance);
  if (span < 5 * second) return 'just now';
  if (span > 4 * week) return formatExact(at).slice(0, 10);
  const size = formatSpan(span);
  return distance < 0 ? `${size} ago` : `in ${size}`;
}

/** The day that was so many days before `now`. */
export function dayBefore(now: Date, days: number, isUtc = false): Day {
  const start = new Date(now);
  if (isUtc) start.setUTCHours(-24 * days, 0, 0, 0);
  else {
    start.setDate(start.getDate() - days);
    start.setHours(0, 0, 0, 0);
  }
  return { day: formatExact(start, isUtc).slice(0, 10), start };
}

/** `14:03:22` in the terminal's time zone. */
export function formatClock(at: Date): string {
  return at.toLocaleTimeString('en-GB');
}

/** As `formatRelative`, but beyond a day `28 Nov 14:03` in the terminal's time zone. */
export function formatForList(at: Date, now: Date): string {
  const ago = now.getTime() - at.getTime();
  if (ago < day || ago > 300 * day) return formatRelative(at, now);
  const format = { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' } as const;
  return at.toLocaleString('en-GB', format).replace(',', '');
}

/** Also in the text of the options. */
export const timeForms = 'today, yesterday, monday, 2h, 3d, 2026-11-22 or 2026-11-22T07:33';

/**
 * Reads a time as people type it: `2h` or `3d` ago; the start of `today`, `yesterday` or the most recent `monday`; a day,
 * `2026-11-22`; or a day with a time, `2026-11-22T07:33`, maybe with an offset.
 *
 * @throws {Problem} argument-invalid
 */
export function readMoment(option: string, text: string, now: Date, isUtc = false): Date {
  const at = readSpan(text, now, -1) ?? readDayName(text, now, isUtc) ?? readWritten(text, isUtc);
  return requireKnownYear(option, text, at, timeForms);
}

/**
 * Reads a time in the future: `90d` from now, or a date as `readMoment` does.
 *
 * @throws {Problem} argument-invalid
 */
export function readFuture(option: string, text: string, now: Date, isUtc = false): Date {
  const at = readSpan(text, now, 1) ?? readWritten(text, isUtc);
  return requireKnownYear(option, text, at, '90d, 2027-01-01 or 2027-01-01T07:33');
}

function readSpan(text: string, now: Date, sign: 1 | -1): Date | undefined {
  const [, count, unit = ''] = /^(\d{1,6}) ?(s|m|min|h|d|w)$/.exec(text.trim()) ?? [];
  if (count === undefined) return undefined;
  return new Date(now.getTime() + sign * Number(count) * (spanUnits[unit] ?? Number.NaN));
}

const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'];

function readDayName(text: string, now: Date, isUtc: boolean): Date | undefined {
  const name = text.trim().toLowerCase();
  const weekday = weekdays.indexOf(name);
  const daysSince = ((isUtc ? now.getUTCDay() : now.getDay()) - weekday + 7) % 7;
  const days = weekday < 0 ? ['today', 'yesterday'].indexOf(name) : daysSince;
  return days < 0 ? undefined : dayBefore(now, days, isUtc).start;
}

/** Without an offset it is in the terminal's zone. A time that a clock skips is read as after the skip; of one that comes twice, the first. */
function readWritten(text: string, isUtc: boolean): Date | undefined {
  const [, day, time = '00:00', offset = isUtc ? 'Z' : ''] =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?)?$/.exec(text.trim()) ?? [];
  // `Date` reads 30 February as 2 March.
  const midnight = new Date(`${day}T00:00Z`);
  if (Number.isNaN(midnight.getTime()) || midnight.toISOString().slice(0, 10) !== day) return undefined;
  const at = new Date(`${day}T${time}${offset}`);
  return Number.isNaN(at.getTime()) ? undefined : at;
}

function requireKnownYear(option: string, text: string, at: Date | undefined, forms: string): Date {
  if (at === undefined) throw new Problem('argument-invalid', `${option} "${text}" is not a time: write ${forms}`);
  if (isInKnownYears(at)) return at;
  throw new Problem('argument-invalid', `${option} "${text}" is not in a year from 1970 to 9999 (UTC)`);
}
