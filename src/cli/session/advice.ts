import type { Advice, Need } from '../../words.ts';

/** What to run, for each advice that a service gives. */
export const adviceWords: Readonly<Record<Advice, string>> = {
  'resume-broken':
    'the server tries it once a minute (after a refused login at most every 15 minutes) and mail resumes by itself (or: ruffinweb emails resume)',
  'resume-hand': 'ruffinweb emails resume',
  'resume-restored':
    'look at "ruffinweb emails list --state queued", cancel what has arrived already, then: ruffinweb emails resume',
  'start-worker':
    'nothing delivers, or not fast enough: is "ruffinweb serve" or "ruffinweb deliver" running? Look at its log',
  'settle-failed': settleFailed('ruffinweb emails list --state failed'),
  'settle-failed-notifications': settleFailed('ruffinweb emails list --state failed --kind notification'),
  'look-at-held': 'ruffinweb messages list --status held',
  'tell-owners': 'ruffinweb emails resend --failed, also of summaries of held messages, or cancel what nobody wants',
  'purge-regularly': 'run "ruffinweb serve" or "ruffinweb deliver" all the time, or "ruffinweb purge" once a day',
  'migrate-up': 'ruffinweb migrate up',
  'migrate-down-first': 'start that release, or run its "ruffinweb migrate down" first',
};

function settleFailed(list: string): string {
  return `${list}, then ruffinweb emails resend --failed, or ruffinweb emails cancel with the ids you have dealt with; after 7 days this warning ends`;
}

/** Which option a refused request lacks, as the end of the refusal. */
export const needWords: Readonly<Record<Need, string>> = {
  again: ': needs --again',
  'even-older': ', or pass --yes',
};

/** The fix of a check or a pause in one line: the settings to change, then the command to run. */
export function fixOf({ fix, advice }: { fix: string | null; advice?: Advice | undefined }): string | null {
  const told = [fix, advice && adviceWords[advice]].filter((it) => it != null);
  return told.length === 0 ? null : told.join('; ');
}
