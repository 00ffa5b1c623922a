import type { WrittenTime } from '../../time-zone.ts';

/** Why a row cannot be imported, as an operator reads it after "message 17:". */
export const importFaults = {
  'sender-missing': 'its sender is not in backend_sender',
  'address-invalid': "its sender's address is not an e-mail address",
  'text-empty': 'its text is empty',
  'too-long': 'a text is longer than a form accepts',
  'too-many': 'it has more fields than a form accepts',
  'too-many-cells': 'it has more cells than the header',
  'not-utf8': 'it is not UTF-8: in Excel, save the file as "CSV UTF-8"',
  'date-unreadable': 'its date cannot be read: write it as 2026-11-22 08:33:05',
  'date-impossible': 'its date is before 1970 or in the future',
} as const;

export type ImportFault = keyof typeof importFaults;

/** The result of an import, or with `dryRun` what it would be. */
export interface Imported {
  form: string;
  dryRun: boolean;
  /** False if the import was stopped before it had read every message. */
  complete: boolean;
  /** `erased`: the sender was erased here after writing the message. `notTaken`: the row has `faults`. */
  messages: { found: number; taken: number; takenBefore: number; erased: number; notTaken: number };
  /** `new`: senders that this server did not know; null for a dry run. */
  senders: { new: number | null };
  /** The first and last date of the rows that can be imported. */
  period: { first: string; last: string } | null;
  /** The zone assumed for dates without one, and how many messages have such a date. */
  timeZone: { assumed: string; messages: number };
  /** How many days the form keeps messages (0: for ever), and how many imported messages the next purge deletes. */
  retention: { days: number; past: number };
  /** The number of rows with each fault. A row may have several. */
  faults: Partial<Record<ImportFault, number>>;
}

export function startReport(form: string, dryRun: boolean, timeZone: string, retentionDays: number): Imported {
  return {
    form,
    dryRun,
    complete: false,
    messages: { found: 0, taken: 0, takenBefore: 0, erased: 0, notTaken: 0 },
    senders: { new: dryRun ? null : 0 },
    period: null,
    timeZone: { assumed: timeZone, messages: 0 },
    retention: { days: retentionDays, past: 0 },
    faults: {},
  };
}

export function reportFaults(report: Imported, faults: readonly ImportFault[]): void {
  report.messages.notTaken++;
  for (const fault of faults) report.faults[fault] = (report.faults[fault] ?? 0) + 1;
}

/** Counts a row that can be imported, whether it was before or not. */
export function reportTakeable(report: Imported, { date }: { date: WrittenTime }): void {
  if (!date.zoned) report.timeZone.messages++;
  // ISO 8601 in UTC sorts as text.
  const at = date.at.toISOString();
  report.period ??= { first: at, last: at };
  if (at < report.period.first) report.period.first = at;
  if (at > report.period.last) report.period.last = at;
}

/** Counts messages that the next purge deletes. @param fresh rows that were not imported before. */
export function reportFresh({ retention }: Imported, fresh: readonly { date: WrittenTime }[], now: Date): void {
  if (retention.days === 0) return;
  const keptFrom = now.getTime() - retention.days * 24 * 3_600_000;
  retention.past += fresh.filter(({ date }) => date.at.getTime() < keptFrom).length;
}
