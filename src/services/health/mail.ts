import { dirname, join } from 'node:path';
import type { EntityManager } from '@mikro-orm/postgresql';
import { Email } from '../../entities/index.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import type { AttemptOutcome } from '../../words.ts';
import { formatSpan } from '../clock.ts';
import { heldSince } from '../delivery/held-summary.ts';
import { describePause, explainBrokenTransport, readPause } from '../delivery/pause/pause.ts';
import { openOrNull, replyPlace } from '../sealed-values.ts';
import { openKeyring } from './database.ts';
import { bad, type Finding, good, type HealthParts } from './health-check.ts';
import { oldestDueSeconds, oldestQueuedSeconds } from './readiness.ts';

/** How long a due email may wait for a worker. */
const lateSeconds = { warn: 2 * 60, fail: 15 * 60 };

/** How long a notification may wait to be sent, even if its attempts were postponed. */
const unsentSeconds = { warn: 15 * 60, fail: 2 * 60 * 60 };

export async function checkQueue(parts: HealthParts, em: EntityManager): Promise<Finding> {
  const keyring = await openKeyring(parts, em);
  const pause = await readPause(em, keyring);
  const [waiting, oldest] = [await em.count(Email, { state: 'queued' }), await oldestDueSeconds({ em })];
  const overdue = oldest >= 1 ? `the oldest overdue by ${formatSeconds(oldest)}` : 'none overdue';
  const fact = waiting === 0 ? 'empty' : `${waiting} queued, ${overdue}${await nextTry(em)}`;
  if (pause !== null) {
    const why = describePause(pause, parts.config);
    const paused = `${why.fact}, for ${formatSpan(parts.now().getTime() - Date.parse(pause.since))}; ${fact}`;
    return bad(pause.cause === 'hand' ? 'warn' : 'fail', paused, why.fix, why.advice);
  }
  const unsent = await oldestQueuedSeconds({ em });
  const [isLate, isUnsent] = [gravity(oldest, lateSeconds), gravity(unsent, unsentSeconds)];
  if (isLate === 'fail' || (isLate === 'warn' && isUnsent !== 'fail')) return bad(isLate, fact, null, 'start-worker');
  if (isUnsent === undefined) return good(fact);
  const age = `the oldest notification has waited ${formatSeconds(unsent)}`;
  return bad(isUnsent, `${fact}; ${age}${await lastReply(em, keyring)}`, null, 'retry-postponed');
}

function gravity(seconds: number, limits: { warn: number; fail: number }): 'warn' | 'fail' | undefined {
  if (seconds < limits.warn) return undefined;
  return seconds < limits.fail ? 'warn' : 'fail';
}

/** What the last attempt for the oldest unsent notification got. */
async function lastReply(em: EntityManager, keyring: Keyring | undefined): Promise<string> {
  const [row] = await em.execute<{ id: string; outcome: string; reply: Uint8Array | null }[]>(
    `select attempts.id, outcome, reply
     from (
       select id from emails where state = 'queued' and kind = 'notification'
       order by coalesce(requeued_at, created_at) limit 1
     ) as oldest join attempts on attempts.email_id = oldest.id
     order by finished_at desc limit 1`,
  );
  if (row === undefined) return ', and was never tried';
  const { id, outcome, reply } = row;
  const said = keyring && reply && openOrNull(() => keyring.open(reply, replyPlace(id)));
  return `; its last attempt: ${outcome}${said ? `, ${said}` : ''}`;
}

/** When the next waiting email is tried. Leased emails are left out: their worker may try them now. */
async function nextTry(em: EntityManager): Promise<string> {
  const [row] = await em.execute<{ seconds: number | null }[]>(
    `select extract(epoch from min(due_at) - now())::float8 as seconds
     from emails where state = 'queued' and lease_token is null and due_at > now()`,
  );
  return row?.seconds == null ? '' : `, the next try in ${formatSeconds(Math.ceil(row.seconds))}`;
}

const failedDays = 7;

/**
 * Email whose last try failed within these days, however old it is. A failed notification is a failure, since the owner
 * does not know about the message. A missing auto-reply harms nobody.
 */
export async function checkFailed(em: EntityManager): Promise<Finding> {
  const [row] = await em.execute<{ emails: number; unnotified: number }[]>(
    `select count(*)::int as emails, (count(distinct message_id) filter (where kind = 'notification'))::int as unnotified
     from emails where state = 'failed' and exists (
       select from attempts where email_id = emails.id and finished_at > now() - ? * interval '1 day')`,
    [failedDays],
  );
  const { emails = 0, unnotified = 0 } = row ?? {};
  const when = `in the last ${failedDays} days`;
  if (emails === 0) return good(`none ${when}`);
  const fact = `${emails} failed ${emails === 1 ? 'email' : 'emails'} ${when}`;
  if (unnotified === 0) return bad('warn', fact, null, 'settle-failed');
  const about = `${unnotified} ${unnotified === 1 ? 'message' : 'messages'}`;
  return bad('fail', `${fact}; an owner was not notified about ${about}`, null, 'settle-failed-notifications');
}

/** A message held by mistake means that a person waits for an answer. @param days after which it is a warning */
export async function checkHeld(em: EntityManager, days = 1): Promise<Finding> {
  const [row] = await em.execute<{ held: number; old: number }[]>(
    `select count(*)::int as held, (count(*) filter (where ${heldSince} < now() - ? * interval '1 day'))::int as old
     from messages where status = 'held'`,
    [days],
  );
  const { held = 0, old = 0 } = row ?? {};
  if (held === 0) return good('none');
  const fact = `${held} held, ${old} of them longer than ${days === 1 ? 'a day' : `${days} days`}`;
  return old === 0 ? good(fact) : bad('warn', fact, null, 'look-at-held');
}

/** Opening the templates rendered each with an example, so this only lists the operator's own. */
export async function checkTemplates({ templates, config }: HealthParts): Promise<Finding> {
  const folder = join(config.dataDir, 'templates');
  const own = [...templates().files].filter(([, path]) => dirname(path) === folder).map(([name]) => name);
  if (own.length === 0) return good(`none of your own in ${folder}`);
  return good(`${own.join(', ')} in ${folder}: ${own.length === 1 ? 'it renders' : 'all of them render'}`);
}

export async function checkMail(parts: HealthParts): Promise<Finding> {
  const mailer = parts.mailer();
  const outcome = await mailer.verify();
  if (outcome.result !== 'accepted') {
    return bad('fail', `${mailer.describes}: ${outcome.reply}`, await fixMailServer(parts, outcome.result));
  }
  const result = parts.config.smtp === undefined ? '(SMTP_HOST is not set)' : 'accepts our connection';
  return good(`${mailer.describes} ${result}`);
}

/** What to do about a mail server that takes no mail. An outage ends by itself, so first what becomes of the mail. */
export async function fixMailServer(parts: HealthParts, result: AttemptOutcome): Promise<string> {
  const { fix } = explainBrokenTransport(parts.config, result);
  if (result !== 'away' && result !== 'later') return fix;
  const count = async () => await parts.database().fork().count(Email, { state: 'queued' });
  // Another check reports a database that does not answer.
  const waiting = await count().catch(() => 0);
  if (waiting === 0) return fix;
  return `${waiting} ${waiting === 1 ? 'email is' : 'emails are'} waiting and will be retried; ${fix}`;
}

function formatSeconds(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  return seconds < 7200 ? `${Math.floor(seconds / 60)} min` : `${Math.floor(seconds / 3600)} h`;
}
