import { msSql, runStatement, type Statement } from '../../database/statement.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { openScope, type Scope } from '../scope.ts';
import { explainBrokenTransport, readReason, resumeQueue } from './pause.ts';

const minute = 60_000;

/** How often all workers together check whether the mail server lets us in again. */
const probeEveryMs = minute;

/** A wrong login once a minute for hours gets our address blocked (fail2ban), so these checks become rarer. */
function loginEveryMs(pausedMs: number): number {
  if (pausedMs < 5 * minute) return minute;
  if (pausedMs < 15 * minute) return 2 * minute;
  return pausedMs < 60 * minute ? 5 * minute : 15 * minute;
}

const isDue = `id = 1 and cause = 'broken'
  and (probed_at is null or probed_at <= now() - $1::float8 * interval '1 millisecond')`;

/** Finds nothing if the queue is not paused, or if a worker has checked within the last minute. */
const dueStatement: Statement = {
  name: 'probe_due_3',
  text: `select reason, ${msSql('now() - paused_at')} as paused_ms from mail_queue where ${isDue}`,
};

/** Only one worker changes the row, and that worker checks. */
const probeStatement: Statement = {
  name: 'probe_mail_3',
  text: `update mail_queue set probed_at = now() where ${isDue} returning id`,
};

/**
 * If the queue is paused because the mail server did not let us in, checks again and resumes the queue on success. Does
 * nothing if a worker checked within the last minute (for a refused login, longer). Never lifts another pause.
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
  if (outcome.result !== 'accepted') {
    const { result, code } = outcome;
    scope.log.debug({ outcome: result, code }, `still ${explainBrokenTransport(context.config).fact}`);
    return false;
  }
  if (!(await resumeQueue(scope, { onlyIfBroken: true }))) return false;
  scope.log.warn(
    context.config.smtp === undefined
      ? 'delivery goes on: mail can be written again'
      : 'delivery goes on: the mail server lets us in again',
  );
  return true;
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
