import type { PageRequest, Period } from '../../services/paging.ts';
import { readMoment } from '../terminal/times.ts';

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

/** The same object without options that were not given. */
export function onlyGiven<T extends object>(options: T): Given<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>;
}

export interface PageOptions {
  limit?: number;
  cursor?: string;
  all?: boolean;
}

export function pageOf({ limit, cursor }: PageOptions): PageRequest {
  return onlyGiven({ limit, cursor });
}

export interface PeriodOptions {
  since?: string;
  until?: string;
  utc?: boolean;
}

/** @throws {Problem} argument-invalid */
export function periodOf({ since, until, utc }: PeriodOptions): Period {
  const now = new Date();
  return onlyGiven({
    since: since === undefined ? undefined : readMoment('--since', since, now, utc),
    until: until === undefined ? undefined : readMoment('--until', until, now, utc),
  });
}
