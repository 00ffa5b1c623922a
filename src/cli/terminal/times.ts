import { Problem } from '../../problems.ts';
import { isInKnownYears } from '../../services/clock.ts';

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;
const week = 7 * day;

/** `2026-11-22 07:33:05Z` */
export function formatExact(at: Date): string {
  return at.toISOString().replace('T', ' ').replace(/\.\d+/, '');
}

/** `3 min ago`, `in 2 h`; the date if it is more than four weeks away. */
export function formatRelative(at: Date, now: Date): string {
  const distance = at.getTime() - now.getTime();
  const span = Math.abs(distance);
  if (span < 5 * second) return 'just now';
  if (span > 4 * week) return at.toISOString().slice(0, 10);
  const size = formatSpan(span);
  return distance < 0 ? `${size} ago` : `in ${size}`;
}

const units: Readonly<Record<string, number>> = { w: week, d: day, h: hour, min: minute, m: minute, s: second };

/** In the largest unit that fits, rounded down: 90 seconds are `1 min`. */
export function formatSpan(ms: number): string {
  const unit = ['d', 'h', 'min'].find((it) => ms >= (units[it] ?? 0)) ?? 's';
  return `${Math.floor(ms / (units[unit] ?? second))} ${unit}`;
}

/**
 * Reads a time as people type it: `2d`, `90m` or `3h` ago; a day, `2026-11-22`; or a day with a time,
 * `2026-11-22T07:33` (UTC unless it has an offset).
 *
 * @throws {Problem} argument-invalid
 */
export function readMoment(option: string, text: string, now: Date): Date {
  return requireKnownYear(option, text, parseMoment(option, text, now));
}

function parseMoment(option: string, text: string, now: Date): Date {
  const ago = /^(\d{1,6}) ?(s|m|min|h|d|w)$/.exec(text.trim());
  if (ago?.[1] !== undefined) return new Date(now.getTime() - Number(ago[1]) * (units[ago[2] ?? ''] ?? day));
  const written = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?)(Z|[+-]\d{2}:\d{2})?)?$/.exec(
    text.trim(),
  );
  const at = written ? new Date(`${written[1]}T${written[2] ?? '00:00'}${written[3] ?? 'Z'}`) : new Date(Number.NaN);
  if (Number.isNaN(at.getTime()) || !isSameDay(at, written?.[1], written?.[3])) {
    throw new Problem(
      'argument-invalid',
      `${option} "${text}" is not a time: write 2d, 3h, 90m, 2026-11-22 or 2026-11-22T07:33Z`,
    );
  }
  return at;
}

/**
 * Reads a time in the future: `90d` from now, or a date as `readMoment` does.
 *
 * @throws {Problem} argument-invalid
 */
export function readFuture(option: string, text: string, now: Date): Date {
  const at = parseMoment(option, text, now);
  const isSpan = /^\d+ ?[a-z]/.test(text.trim());
  return requireKnownYear(option, text, isSpan ? new Date(2 * now.getTime() - at.getTime()) : at);
}

function requireKnownYear(option: string, text: string, at: Date): Date {
  if (isInKnownYears(at)) return at;
  throw new Problem('argument-invalid', `${option} "${text}" is not in a year from 1970 to 9999 (UTC)`);
}

/** Detects 30 February, which `Date` reads as 2 March. */
function isSameDay(at: Date, written: string | undefined, offset: string | undefined): boolean {
  return (offset !== undefined && offset !== 'Z') || at.toISOString().slice(0, 10) === written;
}
