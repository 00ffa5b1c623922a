import { hostname } from 'node:os';
import { Hook } from '../../entities/index.ts';
import type { Mailer } from '../../mail/mailer.ts';
import { formatSpan } from '../clock.ts';
import { describePause, readPause } from '../delivery/pause/pause.ts';
import { checkBackup } from '../health/backup.ts';
import type { Finding } from '../health/health-check.ts';
import { checkDisk } from '../health/machine.ts';
import { checkFailed, checkHeld } from '../health/mail.ts';
import { oldestDueSeconds, oldestQueuedSeconds } from '../health/readiness.ts';
import { checkSamples } from '../health/sealed.ts';
import type { Scope } from '../scope.ts';
import { checkCertificate } from './certificate.ts';
import { askMailServer, checkMailServer } from './mail-server.ts';

/** What a look knows and may use. */
export interface Look {
  /** The database's time. */
  now: Date;
  mailer: Mailer;
  stop: AbortSignal;
}

/** What the operator is told about. No text may quote what visitors wrote. */
export interface Condition {
  when: string;
  alert: string;
  /** Where `health` does not say it. */
  todo?: string;
  /** What is wrong, in counts and times; undefined if all is well. Takes at most 20 seconds. */
  find: (scope: Scope, look: Look) => Promise<string | undefined>;
}

/** While it lasts nothing can be written, so each process remembers for itself what it said. */
export const databaseAway: Omit<Condition, 'find'> = {
  when: 'it does not answer, or takes no writes (read-only, or its disk is full); each server says so for itself',
  alert: 'no message can be stored',
};

/** By the name in the table `alerts`. */
export const conditions: Readonly<Record<string, Condition>> = {
  paused: {
    when: 'the mail server is away or does not let us in, which the next email shows, or the queue has been paused for 10 minutes',
    alert: 'mail is paused',
    find: async (scope, { now, mailer, stop }) => {
      const pause = await readPause(scope.em, undefined);
      if (pause === null) return await checkMailServer(scope, mailer, stop);
      const ms = now.getTime() - Date.parse(pause.since);
      // After a restart of the mail server, workers may notice only now that it is back.
      if (pause.cause === 'away' && ms < 60_000) return await askMailServer(scope, mailer, stop);
      // An operator who paused it knows that, and one who restores a backup has work to do first.
      const isOurs = pause.cause === 'away' || pause.cause === 'broken';
      return isOurs || ms >= 600_000 ? `${describePause(pause, scope.config).fact}, for ${formatSpan(ms)}` : undefined;
    },
  },
  unsent: {
    when: 'a due email or any notification has waited for 15 minutes',
    alert: 'mail is late',
    find: async (scope) => {
      const seconds = Math.max(await oldestDueSeconds(scope), await oldestQueuedSeconds(scope));
      return seconds < 900 ? undefined : `the oldest has waited ${formatSpan(seconds * 1000)}`;
    },
  },
  failed: {
    when: 'a notification failed in the last 7 days, and nobody has resent or cancelled it',
    alert: 'an owner was not notified',
    find: async ({ em }) => factIf('fail', await checkFailed(em)),
  },
  held: {
    when: 'a message has been held for 2 days',
    alert: 'held messages wait for you',
    find: async ({ em }) => factIf('warn', await checkHeld(em, 2)),
  },
  [`disk ${hostname()}`.slice(0, 128)]: {
    when: 'less than 5 % or 1 GiB is free at `DATA_DIR`, on each machine',
    alert: 'a disk is almost full',
    find: async (scope) => factIf('warn', await checkDisk(scope), ` on ${hostname()}`),
  },
  certificate: {
    when: '`PUBLIC_URL` is https, and its certificate is wrong, or ends within 14 days and a quarter of its lifetime, or it does not answer',
    alert: 'HTTPS does not work, or soon will not',
    todo: 'renew the certificate in the proxy, or correct PUBLIC_URL',
    find: async ({ config }, { now, stop }) => await checkCertificate(config.publicUrl, now, stop),
  },
  keys: {
    when: 'some of the newest encrypted values cannot be decrypted',
    alert: 'stored data cannot be decrypted',
    find: async ({ em, keyring }) => factIf('fail', await checkSamples(em, keyring)),
  },
  backup: {
    when: 'backups are verified, and the newest verified one is older than 2 days',
    alert: 'the newest verified backup is too old',
    find: async ({ em }) => factIf('warn', await checkBackup(em)),
  },
  hooks: {
    when: 'a hook has failed for an hour, or is gone (410)',
    alert: 'a hook does not get its deliveries',
    find: async ({ em }, { now }) => {
      const failing = { state: 'active', failingSince: { $lt: new Date(now.getTime() - 3_600_000) } } as const;
      const hooks = await em.find(Hook, { $or: [{ state: 'gone' }, failing] }, { fields: ['name'] });
      return hooks.length === 0 ? undefined : `fails or is gone: ${hooks.map((it) => it.name).join(', ')}`;
    },
  },
};

/** @param from the mildest status that counts. */
function factIf(from: 'warn' | 'fail', finding: Finding | undefined, where = ''): string | undefined {
  return finding?.status === 'fail' || finding?.status === from ? `${finding.fact}${where}` : undefined;
}
