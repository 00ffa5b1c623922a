import { runStatement, type Statement } from '../../database/statement.ts';
import type { MailingContext } from '../../mailing-context.ts';
import { openScope, type Scope } from '../scope.ts';
import { explainBrokenTransport, readReason, resumeQueue } from './pause.ts';

const minute = 60_000;

/** How often the mail server is asked whether it lets us in again, by all workers together. */
const probeEveryMs = minute;

/** A login that is refused once a minute for hours gets an address locked out, as by fail2ban: it is tried ever less often. */
function loginEveryMs(pausedMs: number): number {
  if (pausedMs < 5 * minute) return minute;
  if (pausedMs < 15 * minute) return 2 * minute;
  return pausedMs < 60 * minute ? 5 * minute : 15 * minute;
}

const isLongAgo = `(probed_at is null or probed_at <= now() - $1::float8 * interval '1 millisecond')`;

/** Nothing while the queue is not paused, or somebody has asked within the last minute. */
const dueStatement: Statement = {
  name: 'probe_due_3',
  text: `
select reason, (extract(epoch from now() - paused_at) * 1000)::float8 as paused_ms from mail_queue
where id = 1 and cause = 'broken' and ${isLongAgo}`,
};

/** The row is changed by one worker only, and that one asks. */
const probeStatement: Statement = {
  name: 'probe_mail_3',
  text: `
update mail_queue set probed_at = now()
where id = 1 and cause = 'broken' and ${isLongAgo}
returning id`,
};

/**
 * Where the queue is paused because the mail server did not let us in: asks it again, unless somebody did within
 * the last minute (or longer, for a login), and lets mail go on where it does. A pause by hand is left alone.
 *
 * @param options.atOnce without regard to who asked when: for a worker that has just started, maybe with the very
 *   settings that mend it.
 * @returns whether mail goes on.
 */
export async function probeMail(
  context: MailingContext,
  stop: AbortSignal,
  options: { atOnce?: boolean } = {},
): Promise<boolean> {
  const scope = openScope(context);
  if (!(await mayAsk(scope, options.atOnce ?? false))) return false;
  const outcome = await untilStop(context.mailer.verify(), stop);
  if (outcome === undefined) return false;
  if (outcome.result !== 'accepted') {
    scope.log.debug(
      { outcome: outcome.result, code: outcome.code },
      `still ${explainBrokenTransport(context.config).fact}`,
    );
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

/** Whether it is time to ask, and this worker's turn. */
async function mayAsk(scope: Scope, atOnce: boolean): Promise<boolean> {
  let everyMs = atOnce ? 0 : probeEveryMs;
  if (!atOnce) {
    const [due] = await runStatement<{ reason: Buffer | null; paused_ms: number }>(scope.em, dueStatement, [everyMs]);
    if (due === undefined) return false;
    if (/^(?:534|535)\b/.test(readReason(scope.keyring, due.reason) ?? '')) everyMs = loginEveryMs(due.paused_ms);
  }
  return (await runStatement(scope.em, probeStatement, [everyMs])).length > 0;
}

/** Undefined where the stop comes first. The signal lives as long as the process, so nothing of ours stays on it. */
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
