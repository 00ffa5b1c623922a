import { msSql, runStatement, type Statement } from '../../database/statement.ts';
import { Problem } from '../../problems.ts';
import type { Scope } from '../scope.ts';

/** When an old message was written. */
export interface OldDate {
  at: Date;
  /** Whether the text names its time zone. */
  zoned: boolean;
  /** The same text for every way to write one moment, whatever zone is assumed for dates without one. */
  canonical: string;
}

/** ISO 8601 as Django and its databases write it: with a space or a T, from the day alone down to the microsecond. */
const isoDate =
  /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?\s*(Z|([+-])(\d\d)(?::?(\d\d))?)?)?$/i;

/** Reads one date. Without a time zone it is read as UTC. */
export function parseOldDate(text: string): OldDate | undefined {
  const parts = isoDate.exec(text.trim());
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

const zoneStatement: Statement = {
  name: 'import_zone_1',
  text: 'select from pg_timezone_names where lower(name) = lower($1::text)',
};

/**
 * `at time zone` alone would also accept `UTC+2`, and read it as two hours behind.
 *
 * @throws {Problem} argument-invalid
 */
export async function checkTimeZone({ em }: Scope, timeZone: string): Promise<void> {
  if ((await runStatement(em, zoneStatement, [timeZone])).length > 0) return;
  throw new Problem('argument-invalid', `there is no time zone "${timeZone}": use a name like Europe/Amsterdam or UTC`);
}

const inZoneStatement: Statement = {
  name: 'import_dates_1',
  text: `
select ${msSql("to_timestamp(ms / 1000) at time zone 'UTC' at time zone $2::text")} as ms
from unnest($1::float8[]) with ordinality as given (ms, n)
order by n`,
};

/** Reads one date for each text. @param timeZone for dates without one. */
export async function readOldDates(
  { em }: Scope,
  texts: readonly string[],
  timeZone: string,
): Promise<(OldDate | undefined)[]> {
  const dates = texts.map(parseOldDate);
  const unzoned = dates.flatMap((date) => (date === undefined || date.zoned ? [] : [date]));
  if (unzoned.length === 0) return dates;
  const values = [unzoned.map((date) => date.at.getTime()), timeZone];
  const rows = await runStatement<{ ms: number }>(em, inZoneStatement, values);
  for (const [index, { ms }] of rows.entries()) unzoned[index]?.at.setTime(ms);
  return dates;
}
