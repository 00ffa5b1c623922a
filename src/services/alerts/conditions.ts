import { lacksWrites } from '../../database/outage.ts';
import { formatSpan } from '../clock.ts';
import { describePause, readPause } from '../delivery/pause/pause.ts';
import { checkBackup } from '../health/backup.ts';
import { checkWrites } from '../health/database.ts';
import type { Finding } from '../health/health-check.ts';
import { checkDisk } from '../health/machine.ts';
import { checkFailed, checkHeld } from '../health/mail.ts';
import { oldestDueSeconds, oldestQueuedSeconds } from '../health/readiness.ts';
import { checkSamples } from '../health/sealed.ts';
import type { Scope } from '../scope.ts';
import { checkCertificate } from './certificate.ts';

/** A row of the operating page, and its words in alerts. None may quote what visitors wrote. */
export interface Condition {
  /** Its row in the table `alerts`. */
  name: string;
  /** From when on the operator is told. */
  when: string;
  alert: string;
  recovered: string;
  todo: string;
  /** Each machine has a row of its own. */
  perMachine?: true;
  /** What is wrong, in counts and times; undefined if all is well. @param now the database's time */
  find: (scope: Scope, now: Date, stop: AbortSignal) => Promise<string | undefined>;
}

/** While it lasts nothing can be written, so each process remembers for itself what it said. */
export const databaseAway: Omit<Condition, 'find'> = {
  name: 'database',
  when: 'it does not answer, or takes no writes as a read-only one; each server says so for itself',
  alert: 'the database does not answer or takes no writes',
  recovered: 'the database takes messages again',
  todo: 'run "ruffinweb health"; until then visitors are asked to try again',
};

export const conditions: readonly Condition[] = [
  {
    name: 'paused',
    when: 'the queue has been paused for 10 minutes',
    alert: 'mail is paused',
    recovered: 'mail is sent again',
    todo: 'run "ruffinweb health", which says how to resume',
    find: async ({ em, config }, now) => {
      const pause = await readPause(em, undefined);
      const ms = pause === null ? 0 : now.getTime() - Date.parse(pause.since);
      return pause && ms >= 600_000 ? `${describePause(pause, config).fact}, for ${formatSpan(ms)}` : undefined;
    },
  },
  {
    name: 'unsent',
    when: 'a due email or any notification has waited for 15 minutes',
    alert: 'mail is late',
    recovered: 'no mail is late any more',
    todo: 'run "ruffinweb health"; is "ruffinweb serve" or "ruffinweb deliver" running?',
    find: async (scope) => {
      const seconds = Math.max(await oldestDueSeconds(scope), await oldestQueuedSeconds(scope));
      return seconds < 900 ? undefined : `the oldest has waited ${formatSpan(seconds * 1000)}`;
    },
  },
  {
    name: 'failed',
    when: 'a notification failed in the last 7 days, and nobody has resent or cancelled it',
    alert: 'an owner was not notified',
    recovered: 'no failed notification is left',
    todo: 'run "ruffinweb emails resend --failed", or "ruffinweb emails cancel" for those you have dealt with',
    find: async ({ em }) => factIf('fail', await checkFailed(em)),
  },
  {
    name: 'held',
    when: 'a message has been held for 2 days',
    alert: 'held messages wait for you',
    recovered: 'no message has been held for 2 days',
    todo: 'run "ruffinweb messages list --status held"',
    find: async ({ em }) => factIf('warn', await checkHeld(em, 2)),
  },
  {
    name: 'disk',
    when: 'less than 5 % or 1 GiB is free at `DATA_DIR`, on each machine',
    alert: 'the disk is almost full',
    recovered: 'the disk has space again',
    todo: 'free space, or move DATA_DIR',
    perMachine: true,
    find: async (scope) => factIf('warn', await checkDisk(scope)),
  },
  {
    name: 'certificate',
    when: '`PUBLIC_URL` is https and does not answer, or its certificate is wrong or ends within 14 days',
    alert: 'visitors cannot reach PUBLIC_URL safely, or soon cannot',
    recovered: 'the certificate of PUBLIC_URL is fine',
    todo: 'renew the certificate in the proxy, or correct PUBLIC_URL',
    find: async ({ config }, now, stop) => await checkCertificate(config.publicUrl, now, stop),
  },
  {
    name: 'keys',
    when: 'some of the newest encrypted values cannot be decrypted',
    alert: 'stored data cannot be decrypted',
    recovered: 'stored data can be decrypted again',
    todo: 'run "ruffinweb encryption status"',
    find: async ({ em, keyring }) => factIf('fail', await checkSamples(em, keyring)),
  },
  {
    name: 'writes',
    when: 'the database takes no writes, as with a full disk',
    alert: 'no message can be stored',
    recovered: 'messages are stored again',
    todo: 'run "ruffinweb health"; free space on the disk of the database',
    find: async ({ em }) =>
      await checkWrites(em).then(
        () => undefined,
        (error) => (lacksWrites(error) ? 'a write was tried and failed' : Promise.reject(error)),
      ),
  },
  {
    name: 'backup',
    when: 'backups are verified, and the newest verified one is older than 2 days',
    alert: 'the newest verified backup is too old',
    recovered: 'there is a new verified backup',
    todo: 'look at the log of ruffinweb-backup, or run "ruffinweb backup create <dir>" and "ruffinweb backup verify <dir>"',
    find: async ({ em }) => factIf('warn', await checkBackup(em)),
  },
  {
    name: 'hooks',
    when: 'a hook has failed for an hour, or is gone (410)',
    alert: 'a hook does not get its deliveries',
    recovered: 'every hook gets its deliveries',
    todo: 'run "ruffinweb hooks list", and "ruffinweb hooks test" for each that fails or is gone',
    find: async ({ em }) => {
      const [row] = await em.execute<{ hooks: number }[]>(
        `select count(*)::int as hooks from hooks
         where state = 'gone' or (state = 'active' and failing_since < now() - interval '1 hour')`,
      );
      return row?.hooks ? `hooks that fail or are gone: ${row.hooks}` : undefined;
    },
  },
];

/** @param from the mildest status that counts. */
function factIf(from: 'warn' | 'fail', finding: Finding | undefined): string | undefined {
  return finding?.status === 'fail' || finding?.status === from ? finding.fact : undefined;
}
