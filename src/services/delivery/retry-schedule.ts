import type { Outcome } from '../../mail/mailer.ts';
import type { EmailKind, EmailState, FailureReason } from '../../words.ts';

const minute = 60_000;
const hour = 60 * minute;

// RFC 5321 §4.5.4.1 asks for at least 30 minutes between attempts. Greylisting servers commonly accept after 5,
// so the first two waits are shorter and the rest obey. Together they last almost three days.
const waitsMs = [minute, 5 * minute, 30 * minute, 2 * hour, 6 * hour, 12 * hour, 24 * hour, 24 * hour];

/** The first attempt and one after each wait. */
export const maxTries = waitsMs.length + 1;

/**
 * A broken transport (login, TLS, DNS) says nothing about the email: the attempt does not count, and the email waits for
 * the end of the queue's pause.
 */
const brokenWaitMs = 5000;

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
 * Decides what follows from the outcome of an attempt. Pure.
 *
 * A notification whose outcome is unknown is sent again: better twice than never. An auto-reply is not: a
 * missing one harms nobody, a second one harms a stranger.
 *
 * @param random from 0 up to 1, for the jitter that keeps many emails from coming back at one moment.
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
      return { state: 'queued', failure: null, waitMs: withJitter(brokenWaitMs, random), counts: false };
    case 'unknown':
      return email.kind === 'auto-reply' ? failed('outcome-unknown') : retry(email, outcome, random, 'outcome-unknown');
    case 'later':
      return retry(email, outcome, random, 'schedule-ended');
  }
}

function retry(
  email: TriedEmail,
  outcome: Pick<Outcome, 'retryAfterMs'>,
  random: number,
  end: FailureReason,
): NextStep {
  const waitMs = waitsMs[email.tries - 1];
  if (waitMs === undefined) return failed(end);
  // A server that asks for more time than the schedule gives gets it, within reason. One that asks for less does not:
  // "try again in 1 minute" at every try would end the schedule within minutes.
  const askedMs = Math.min(outcome.retryAfterMs ?? 0, 24 * hour);
  return { state: 'queued', failure: null, waitMs: withJitter(Math.max(waitMs, askedMs), random), counts: true };
}

function failed(failure: FailureReason): NextStep {
  return { state: 'failed', failure, waitMs: 0, counts: true };
}

/** Up to a fifth longer, never shorter. */
function withJitter(waitMs: number, random: number): number {
  return Math.round(waitMs * (1 + random / 5));
}
