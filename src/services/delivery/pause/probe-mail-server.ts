import { msSql, runStatement, type Statement } from '../../../database/statement.ts';
import type { Outcome } from '../../../mail/mailer.ts';
import type { MailingContext } from '../../../mailing-context.ts';
import { openScope, type Scope } from '../../scope.ts';
import { changePause, explainBrokenTransport, pauseQueue, readReason, resumeQueue } from './pause.ts';

const minute = 60_000;

/** How often all workers together check whether the mail server lets us in again. */
const probeEveryMs = minute;

/**
 * SQL: how long to wait after the last check of a server that is away: 5, 10, 20, 40 and then 60 s. The half second is for
 * workers, which look every five seconds and may be a moment early. Null if it is not away.
 */
const awayWait = `case when is_away then
  least(interval '60 s', greatest(interval '0', probed_at - paused_at) + interval '5 s') - interval '0.5 s' end`;

/** A wrong login once a minute for hours gets our address blocked (fail2ban), so these checks become rarer. */
function loginEveryMs(pausedMs: number): number {
  if (pausedMs < 5 * minute) return minute;
  if (pausedMs < 15 * minute) return 2 * minute;
  return pausedMs < 60 * minute ? 5 * minute : 15 * minute;
}

const isDue = `id = 1 and cause = 'broken'
  and (probed_at is null or probed_at <= now() - least($1::float8 * interval '1 millisecond', ${awayWait}))`;

/** Finds nothing if the queue is not paused, or if a worker has checked a short time ago. */
const dueStatement: Statement = {
  name: 'probe_due_4',
  text: `select reason, ${msSql('now() - paused_at')} as paused_ms from mail_queue where ${isDue}`,
};

/** Only one worker changes the row, and that worker checks. */
const probeStatement: Statement = {
  name: 'probe_mail_4',
  text: `update mail_queue set probed_at = now() where ${isDue} returning id`,
};

/**
 * If the queue is paused because the mail server did not let us in or did not answer, checks again and resumes the queue on
 * success. Does nothing if a worker checked a short time ago (see above). Never lifts another pause.
 *
 * @param options.atOnce checks now: a worker that has just started may have the corrected settings.
 * @returns whether the queue was resumed.
 */
export async function probeMail(
  context: MailingContext,
  stop: AbortSignal,
  { atOnce = false }: { atOnce?: boolean } = {},
): Promise<boolean> {
  const scope = openScope(context);
  if (!(await mayProbe(scope, atOnce))) return false;
  const outcome = await untilStop(context.mailer.verify(), stop);
  if (outcome === undefined) return false;
  const { result } = outcome;
  const { fact } = explainBrokenTransport(scope.config, result);
  if (result === 'broken' || result === 'away') {
    if (await changePause(scope, result, outcome.reply)) logPause(scope, outcome);
    scope.log.debug({ outcome: result, code: outcome.code }, `still ${fact}`);
    return false;
  }
  // A server that is back may say "not now". Then it is not away, and tells each mail for itself.
  if (!(await resumeQueue(scope, result === 'accepted' ? 'broken' : 'away'))) {
    scope.log.debug({ outcome: result, code: outcome.code }, `still ${fact}`);
    return false;
  }
  scope.log.warn(
    context.config.smtp === undefined
      ? 'delivery goes on: mail can be written again'
      : `delivery goes on: the mail server ${result === 'accepted' ? 'lets us in' : 'answers'} again`,
  );
  return true;
}

/**
 * An email met no mail server: checks once, and pauses the queue if that meets none either, unless a worker has just had an
 * email accepted. Never throws.
 */
export async function confirmAway(context: MailingContext, stop: AbortSignal): Promise<'answers' | 'away' | 'paused'> {
  const outcome = await untilStop(context.mailer.verify(), stop);
  if (outcome?.result !== 'away') return 'answers';
  return (await pauseForServer(openScope(context), outcome)) ? 'paused' : 'away';
}

/**
 * `broken` or `away`: every other email would fail the same way, so none is tried until the probe succeeds. Never throws.
 *
 * @returns whether this paused the queue.
 */
export async function pauseForServer(scope: Scope, outcome: Outcome): Promise<boolean> {
  try {
    const isPaused = await pauseQueue(scope, outcome.result === 'away' ? 'away' : 'broken', outcome.reply);
    if (isPaused) logPause(scope, outcome);
    return isPaused;
  } catch (error) {
    // The next attempt will meet the same error and pause the queue.
    scope.log.error({ err: error }, 'the queue could not be paused');
    return false;
  }
}

/** An outage ends by itself; anything else waits for an operator. */
function logPause(scope: Scope, { result, code }: Outcome): void {
  const { fact, fix } = explainBrokenTransport(scope.config, result);
  const pause = `the queue is paused, because ${fact}`;
  if (result === 'away') scope.log.warn({ code }, `${pause}: mail goes on when it answers`);
  else scope.log.error({ code }, `${pause}: ${fix}, then look at the health report`);
}

/** Whether a check is due and it is this worker's turn. */
async function mayProbe(scope: Scope, atOnce: boolean): Promise<boolean> {
  let everyMs = atOnce ? 0 : probeEveryMs;
  if (!atOnce) {
    const [due] = await runStatement<{ reason: Buffer | null; paused_ms: number }>(scope.em, dueStatement, [everyMs]);
    if (due === undefined) return false;
    if (/^(?:534|535)\b/.test(readReason(scope.keyring, due.reason) ?? '')) everyMs = loginEveryMs(due.paused_ms);
  }
  return (await runStatement(scope.em, probeStatement, [everyMs])).length > 0;
}

/** Undefined if the stop comes first. The signal lives as long as the process, so the listener is removed. */
async function untilStop<T>(work: Promise<T>, stop: AbortSignal): Promise<T | undefined> {
  const { promise: stopped, resolve } = Promise.withResolvers<undefined>();
  const onStop = () => resolve(undefined);
  if (stop.aborted) onStop();
  stop.addEventListener('abort', onStop);
  try {
    return await Promise.race([work, stopped]);
  } finally {
    stop.removeEventListener('abort', onStop);
  }
}
