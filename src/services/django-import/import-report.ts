import type { OldFault, TakeableMessage } from './read-old-message.ts';

/** What an import did, or with `dryRun` would do. */
export interface Imported {
  form: string;
  dryRun: boolean;
  /** Whether all of it was read, rather than stopped half-way. */
  complete: boolean;
  /** `erased`: by people who were erased here since. `notTaken`: for their `faults`. */
  messages: { found: number; taken: number; takenBefore: number; erased: number; notTaken: number };
  /** `new`: not known before; null where nothing was stored. `silent`: without a message, so not taken. */
  senders: { new: number | null; silent: number };
  /** The first and the last moment of what was read and can be taken. */
  period: { first: string; last: string } | null;
  /** The zone that was assumed for dates that name none, and for how many messages. */
  timeZone: { assumed: string; messages: number };
  /** Days that this form's messages are kept, 0 for ever; and how many of those taken are older, so that the next purge removes them. */
  retention: { days: number; past: number };
  /** Of the messages not taken: how many have which fault. One may have several. */
  faults: Partial<Record<OldFault, number>>;
}

export function startReport(about: {
  form: string;
  dryRun: boolean;
  timeZone: string;
  retentionDays: number;
}): Imported {
  return {
    form: about.form,
    dryRun: about.dryRun,
    complete: false,
    messages: { found: 0, taken: 0, takenBefore: 0, erased: 0, notTaken: 0 },
    senders: { new: about.dryRun ? null : 0, silent: 0 },
    period: null,
    timeZone: { assumed: about.timeZone, messages: 0 },
    retention: { days: about.retentionDays, past: 0 },
    faults: {},
  };
}

export function reportFaults(report: Imported, faults: readonly OldFault[]): void {
  report.messages.notTaken++;
  for (const fault of faults) report.faults[fault] = (report.faults[fault] ?? 0) + 1;
}

/** What is told of messages that can be taken, whether they were before or not. */
export function reportTakeable(report: Imported, messages: readonly TakeableMessage[]): void {
  report.timeZone.messages += messages.filter((it) => !it.date.zoned).length;
  for (const { date } of messages) {
    // ISO 8601 in UTC sorts as text.
    const at = date.at.toISOString();
    report.period ??= { first: at, last: at };
    if (at < report.period.first) report.period.first = at;
    if (at > report.period.last) report.period.last = at;
  }
}

/** @param fresh those that were not taken before. */
export function reportFresh(report: Imported, fresh: readonly TakeableMessage[], now: Date): void {
  const { retention } = report;
  if (retention.days === 0) return;
  const keptFrom = now.getTime() - retention.days * 24 * 3_600_000;
  retention.past += fresh.filter((it) => it.date.at.getTime() < keptFrom).length;
}
