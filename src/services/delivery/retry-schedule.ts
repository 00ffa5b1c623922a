import type { Outcome } from '../../mail/mailer.ts';
import { atMostOnceKinds, type EmailKind, type EmailState, type FailureReason } from '../../words.ts';

const minute = 60_000;
const hour = 60 * minute;

// RFC 5321 §4.5.4.1: at least 30 minutes between attempts. The first two waits are shorter, because greylisting servers
// commonly accept a mail after 5 minutes. All waits together last almost three days.
const waitsMs = [minute, 5 * minute, 30 * minute, 2 * hour, 6 * hour, 12 * hour, 24 * hour, 24 * hour];

/** The first attempt and one after each wait. */
export const maxTries = waitsMs.length + 1;

/** An attempt that met no mail server, or a broken transport (login, TLS, DNS), does not count. */
const uncountedWaitMs = 5000;

/** With jitter. The end of the queue's pause also ends this wait. */
export const maxUncountedWaitMs = 6000;

/** What happens to an email after an attempt. */
export interface NextStep {
  state: Extract<EmailState, 'sent' | 'queued' | 'failed'>;
  failure: FailureReason | null;
  /** Until the next attempt may start; 0 if there will be none. */
  waitMs: number;
  /** Whether the attempt counts. */
  counts: boolean;
}

export interface TriedEmail {
  kind: EmailKind;
  /** Attempts started, including this one. */
  tries: number;
}

/**
 * Decides what happens to an email after an attempt. Pure.
 *
 * If the outcome is unknown, a notification is sent again: better twice than never. An auto-reply is not: a missing one
 * harms nobody, a second one harms a stranger. About a reply, its author decides.
 *
 * @param random from 0 up to 1, for jitter: many emails must not become due at the same moment.
 */
export function decideNextStep(
  email: TriedEmail,
  outcome: Pick<Outcome, 'result' | 'retryAfterMs'>,
  random: number,
): NextStep {
  switch (outcome.result) {
    case 'accepted':
      return { state: 'sent', failure: null, waitMs: 0, counts: true };
    case 'refused':
      return failed('refused');
    case 'broken':
      return { state: 'queued', failure: null, waitMs: withJitter(uncountedWaitMs, random), counts: false };
    case 'away':
      return { state: 'queued', failure: null, waitMs: uncountedWaitMs, counts: false };
    case 'unknown':
      return atMostOnceKinds.includes(email.kind)
        ? failed('outcome-unknown')
        : retry(waitsMs, email.tries, outcome, random, 'outcome-unknown');
    case 'later':
      return retry(waitsMs, email.tries, outcome, random, 'schedule-ended');
  }
}

/** @param waits before the second attempt, the third and so on. */
export function retry(
  waits: readonly number[],
  tries: number,
  outcome: Pick<Outcome, 'retryAfterMs'>,
  random: number,
  end: FailureReason,
): NextStep {
  const waitMs = waits[tries - 1];
  if (waitMs === undefined) return failed(end);
  // A server may ask for a longer wait, up to a day, but not for a shorter one: "try again in 1 minute" at every attempt
  // would end the schedule within minutes.
  const askedMs = Math.min(outcome.retryAfterMs ?? 0, 24 * hour);
  return { state: 'queued', failure: null, waitMs: withJitter(Math.max(waitMs, askedMs), random), counts: true };
}

export function failed(failure: FailureReason): NextStep {
  return { state: 'failed', failure, waitMs: 0, counts: true };
}

/** Up to a fifth longer, never shorter. */
function withJitter(waitMs: number, random: number): number {
  return Math.round(waitMs * (1 + random / 5));
}
