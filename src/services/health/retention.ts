import { Duty } from '../../entities/index.ts';
import { databaseNow } from '../clock.ts';
import { purgeTask } from '../maintenance/purge.ts';
import { countWaiting } from '../maintenance/purge-preview.ts';
import { dayMs } from '../maintenance/retention-rules.ts';
import type { Scope } from '../scope.ts';
import { good, type HealthCheck, type HealthParts } from './health-check.ts';

/** Whether the retention is kept: something purges, and no message stays beyond its time. */
export async function checkRetention({ config }: HealthParts, em: Scope['em']): Promise<HealthCheck> {
  const duty = await em.findOne(Duty, { name: purgeTask });
  const waiting = await countWaiting({ em, config });
  const kept = config.retentionDays === 0 ? 'for ever' : `${config.retentionDays} days`;
  const fact = `messages are kept ${kept}, unless a form says otherwise`;
  if (waiting > 0) {
    return {
      name: 'retention',
      status: 'warn',
      fact: `${fact}; ${waiting} past their time ${waiting === 1 ? 'waits' : 'wait'}, because nobody was notified about them yet`,
      fix: null,
      advice: 'tell-owners',
    };
  }
  if (duty !== null && (await databaseNow(em)).getTime() - duty.doneAt.getTime() > dayMs) {
    const since =
      duty.doneAt.getTime() === 0
        ? 'no purge was ever complete'
        : `the last complete purge was on ${duty.doneAt.toISOString().slice(0, 10)}`;
    return {
      name: 'retention',
      status: 'warn',
      fact: `${fact}; what is past its time was ${since} removed to the end`,
      fix: null,
      advice: 'purge-regularly',
    };
  }
  return good('retention', fact);
}
