import { Duty } from '../../entities/index.ts';
import { databaseNow, dayMs, formatSpan } from '../clock.ts';
import { purgeTask } from '../maintenance/purge.ts';
import { countWaiting } from '../maintenance/purge-preview.ts';
import type { Scope } from '../scope.ts';
import { bad, type Finding, good, type HealthParts } from './health-check.ts';

/** Whether expired messages are deleted: purges run, and no message is kept longer than its retention. */
export async function checkRetention({ config }: HealthParts, em: Scope['em']): Promise<Finding> {
  const kept = config.retentionDays === 0 ? 'for ever' : `${config.retentionDays} days`;
  const fact = `messages are kept ${kept}, unless a form says otherwise`;
  const waiting = await countWaiting({ em, config });
  if (waiting > 0) {
    const which = `${waiting} expired ${waiting === 1 ? 'message is' : 'messages are'} still kept`;
    return bad('warn', `${fact}; ${which}, because nobody was notified about them yet`, null, 'tell-owners');
  }
  const duty = await em.findOne(Duty, { name: purgeTask });
  const ageMs = (await databaseNow(em)).getTime() - (duty?.doneAt.getTime() ?? 0);
  if (duty === null || ageMs <= dayMs) return good(fact);
  const last =
    duty.doneAt.getTime() === 0
      ? 'no purge has ever completed'
      : `the last complete purge was ${formatSpan(ageMs)} ago`;
  return bad('warn', `${fact}; ${last}`, null, 'purge-regularly');
}
