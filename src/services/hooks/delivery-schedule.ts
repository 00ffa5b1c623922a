import type { Outcome } from '../../mail/mailer.ts';
import { failed, type NextStep, retry } from '../delivery/retry-schedule.ts';

const minute = 60_000;

/** As Standard Webhooks 1.0.0 recommends: ten attempts within three and a half days. */
const waitsMs = [5000, 5 * minute, 30 * minute, ...[2, 5, 10, 14, 20, 24].map((hours) => hours * 60 * minute)];

/** Decides what happens to a delivery after an attempt. Pure. @param random from 0 up to 1, for jitter. */
export function decideDelivery(tries: number, outcome: Omit<Outcome, 'reply'>, random: number): NextStep {
  if (outcome.result === 'accepted') return { state: 'sent', failure: null, waitMs: 0, counts: true };
  return outcome.result === 'refused' ? failed('refused') : retry(waitsMs, tries, outcome, random, 'schedule-ended');
}
