import type { Advice, Need } from '../../words.ts';

/** What to do, for each advice that a service gives. */
export const adviceWords: Readonly<Record<Advice, string>> = {
  'resume-broken':
    'the server retries once a minute (after a refused login at most every 15 minutes) and then resumes mail; to resume it now: ruffinweb emails resume',
  'resume-away':
    'the server tries it after 5 s, then less often, at least once a minute, and resumes mail when it answers; to resume it now: ruffinweb emails resume',
  'resume-hand': 'ruffinweb emails resume',
  'resume-restored':
    'look at "ruffinweb emails list --state queued", cancel emails that have arrived already, then: ruffinweb emails resume',
  'start-worker':
    'mail is not delivered, or too slowly: is "ruffinweb serve" or "ruffinweb deliver" running? Look at its log',
  'retry-postponed':
    'the mail server postpones mail: correct what its reply names, then: ruffinweb emails resend --queued',
  'settle-failed': settleFailed('ruffinweb emails list --state failed'),
  'settle-failed-notifications': settleFailed('ruffinweb emails list --state failed --kind notification'),
  'look-at-held': 'ruffinweb messages list --status held',
  'look-at-hooks':
    'ruffinweb hooks list, then ruffinweb hooks test <name>; ruffinweb hooks deliveries resend --failed, or cancel --failed',
  'look-at-keys': 'ruffinweb encryption status',
  'tell-owners':
    'ruffinweb emails resend --failed, which includes summaries of held messages, or cancel the emails that nobody needs',
  'purge-regularly': 'keep "ruffinweb serve" or "ruffinweb deliver" running, or run "ruffinweb purge" once a day',
  'back-up':
    'ruffinweb backup create <dir>, then "ruffinweb backup verify <dir>"; the timer ruffinweb-backup does both every night',
  'test-alerts': 'ruffinweb health --alert-test',
  'migrate-up': 'ruffinweb migrate up',
  'migrate-down-first': 'start that release, or run its "ruffinweb migrate down" first',
};

function settleFailed(list: string): string {
  return `${list}, then ruffinweb emails resend --failed, or ruffinweb emails cancel with the ids you have dealt with; this warning disappears after 7 days`;
}

/** Which option a refused request lacks, as the end of the refusal. */
export const needWords: Readonly<Record<Need, string>> = {
  again: ': needs --again',
  'even-older': ', or pass --yes',
  'even-so': ': pass --yes to write anyway',
  release: ': if it is no spam, release it first with "ruffinweb messages release"',
  close: ': close it with "ruffinweb forms close", or delete them first',
  closes: ': set another time with --closes, or remove it with --reset closes',
};

/** The fix for a failed check or a pause: the settings to change, then the command to run. */
export function fixOf({ fix, advice }: { fix: string | null; advice?: Advice | undefined }): string | null {
  return [fix, advice && adviceWords[advice]].filter((it) => it != null).join('; ') || null;
}
