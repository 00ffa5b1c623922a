import { join } from 'node:path';
import type { Config } from '../../../config/config.ts';
import { runStatement, type Statement } from '../../../database/statement.ts';
import { MailQueue } from '../../../entities/index.ts';
import type { Keyring } from '../../../privacy/keyring.ts';
import type { SealedPlace } from '../../../privacy/sealed-columns.ts';
import type { Advice, AttemptOutcome, PauseCause } from '../../../words.ts';
import { emailChannel } from '../../outbox.ts';
import type { Scope } from '../../scope.ts';
import { openOrNull } from '../../sealed-values.ts';
import { maxUncountedWaitMs } from '../retry-schedule.ts';

const reasonPlace: SealedPlace = { table: 'mail_queue', column: 'reason', row: '1' };

/** A pause of the queue, and its cause. */
export interface PauseView {
  cause: PauseCause;
  since: string;
  /** What the mail server or the operator said. Null if nothing, or if it cannot be decrypted. */
  reason: string | null;
}

/**
 * A worker's pause replaces no other. An operator's replaces a worker's, and that of a restored database replaces any,
 * because the probe must not lift these two. An operator's pause keeps the start time of an earlier pause, and an earlier
 * operator's reason unless there is a new one.
 *
 * If the mail server has just accepted an email, from any worker, it is not away: perhaps it only limits our connections.
 */
const pauseStatement: Statement = {
  name: 'pause_queue_3',
  text: `
update mail_queue set
  paused_at = case when $1::text = 'hand' then coalesce(paused_at, now()) else now() end,
  cause = case when cause = 'restored' then cause else $1::text end,
  reason = case when $2::bytea is null and cause <> 'broken' and $1::text = 'hand' then reason else $2::bytea end,
  probed_at = now(),
  is_away = $3::bool
where id = 1 and (paused_at is null or $1::text <> 'broken')
  and not ($3::bool and exists (
    select from attempts
    where outcome = 'accepted' and finished_at > now() - interval '60 seconds' and finished_at <= now()))
returning id`,
};

/** Mail that waits only because an attempt met the cause of the pause is due at once. */
const resumeStatement: Statement = {
  name: 'resume_queue_2',
  text: `
with resumed as (
  update mail_queue set paused_at = null, cause = null, reason = null, probed_at = null, is_away = false
  where id = 1 and paused_at is not null
    and case $1::text when 'broken' then cause = 'broken' when 'away' then cause = 'broken' and is_away else true end
  returning id
),
due as (
  update emails set due_at = now()
  where exists (select from resumed) and id in (
    select id from emails
    where state = 'queued' and lease_token is null
      and due_at > now() and due_at <= now() + ${maxUncountedWaitMs} * interval '1 millisecond'
    for update skip locked)
),
woken as (select pg_notify('${emailChannel}', '') from resumed)
select resumed.id from resumed left join woken on true`,
};

/**
 * From now on no worker starts an attempt. Attempts that are in flight go on.
 *
 * @returns whether this changed anything. If several workers see the same error, only one gets `true`.
 */
export async function pauseQueue(scope: Scope, cause: PauseCause, reason: string | null): Promise<boolean> {
  const isAway = cause === 'away';
  const values = [isAway ? 'broken' : cause, seal(scope, reason), isAway];
  return (await runStatement(scope.em, pauseStatement, values)).length > 0;
}

const changeStatement: Statement = {
  name: 'change_pause_1',
  text: `
update mail_queue set is_away = $1::bool, reason = $2::bytea
where id = 1 and cause = 'broken' and is_away <> $1::bool
returning id`,
};

/**
 * Turns a pause for `broken` into one for `away`, or back. Its start stays.
 *
 * @returns whether this changed anything.
 */
export async function changePause(scope: Scope, cause: 'broken' | 'away', reason: string): Promise<boolean> {
  return (await runStatement(scope.em, changeStatement, [cause === 'away', seal(scope, reason)])).length > 0;
}

function seal(scope: Scope, reason: string | null): Buffer | null {
  return reason === null ? null : scope.keyring.seal(reason, reasonPlace);
}

/**
 * Resumes the queue.
 *
 * @param only leaves a pause with another cause. `broken` includes `away`.
 * @returns whether it was paused.
 */
export async function resumeQueue(scope: Scope, only?: 'broken' | 'away'): Promise<boolean> {
  return (await runStatement(scope.em, resumeStatement, [only ?? null])).length > 0;
}

/** @param keyring undefined if the keys are not available; then the reason is null. */
export async function readPause(em: Scope['em'], keyring: Keyring | undefined): Promise<PauseView | null> {
  const queue = await em.findOne(MailQueue, { id: 1 }, { refresh: true });
  if (queue?.pausedAt == null || queue.cause == null) return null;
  return {
    cause: queue.cause === 'broken' && queue.isAway ? 'away' : queue.cause,
    since: queue.pausedAt.toISOString(),
    reason: keyring === undefined ? null : readReason(keyring, queue.reason),
  };
}

/** Null also if it cannot be decrypted. */
export function readReason(keyring: Keyring, reason: Uint8Array | null | undefined): string | null {
  return reason == null ? null : openOrNull(() => keyring.open(reason, reasonPlace));
}

/** For people: the cause of the pause, and how to end it. */
export function describePause(
  { cause, reason }: Pick<PauseView, 'cause' | 'reason'>,
  config: Pick<Config, 'smtp' | 'dataDir'>,
): { fact: string; fix: string | null; advice: Advice } {
  const advice = `resume-${cause}` as const;
  const said = reason ? ` (${reason})` : '';
  switch (cause) {
    case 'broken':
    case 'away': {
      const { fact, fix } = explainBrokenTransport(config, cause);
      return { fact: `the queue is paused, because ${fact}${said}`, fix, advice };
    }
    case 'hand':
      return { fact: `the queue was paused by hand${reason ? `: ${reason}` : ''}`, fix: null, advice };
    case 'restored': {
      const fact =
        'the queue is paused, because this database was restored from a backup or moved: what it holds as queued may have been sent';
      return { fact: `${fact}${said}`, fix: null, advice };
    }
    default: {
      const fact = `the queue is paused for a cause that only a later release knows: ${cause as string}${said}`;
      return { fact, fix: 'look at the health report of that release', advice: 'resume-hand' };
    }
  }
}

/** Why no mail can be sent, and how to fix it. Without SMTP_HOST, the folder for mail is the problem. */
export function explainBrokenTransport({ smtp, dataDir }: Pick<Config, 'smtp' | 'dataDir'>, result?: AttemptOutcome) {
  if (smtp === undefined) {
    return {
      fact: `mail cannot be written to ${join(dataDir, 'mail')}, while SMTP_HOST is not set`,
      fix: 'make that folder writable, or set DATA_DIR',
    };
  }
  if (result === 'away') {
    return {
      fact: `no mail server answers at ${smtp.host}:${smtp.port}`,
      fix: 'if it stays away, check SMTP_HOST and SMTP_PORT, and whether a firewall blocks that port',
    };
  }
  if (result === 'later') {
    return { fact: 'the mail server says not now', fix: 'if that goes on, correct what its reply names' };
  }
  return {
    fact: 'the mail server does not let us in',
    fix: 'check SMTP_HOST, SMTP_PORT, SMTP_USER, SMTP_PASSWORD and MAIL_FROM',
  };
}
