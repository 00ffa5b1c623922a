import type { EntityManager } from '@mikro-orm/postgresql';
import { Hook } from '../../entities/index.ts';
import { databaseNow, formatSpan } from '../clock.ts';
import { countUnsent } from '../hooks/hooks.ts';
import { bad, type Finding, good } from './health-check.ts';

/** How long a hook may fail before somebody looks at it. */
const maxFailingMs = 15 * 60_000;

export async function checkHooks(em: EntityManager): Promise<Finding> {
  const hooks = await em.find(Hook, {}, { orderBy: { name: 'asc' } });
  if (hooks.length === 0) return good('none');
  const [count, now] = [await countUnsent(em), await databaseNow(em)];
  const faults = hooks.flatMap((hook) => {
    const { name, state, failingSince } = hook;
    const failingMs = state === 'active' && failingSince ? now.getTime() - failingSince.getTime() : 0;
    const failed = count(hook, 'failed');
    return [
      state === 'gone' || state === 'untested' ? `${name} is ${state}` : '',
      failingMs > maxFailingMs ? `${name} has failed for ${formatSpan(failingMs)}` : '',
      failed > 0 ? `${failed} to ${name} failed` : '',
    ].filter((it) => it !== '');
  });
  const queued = hooks.reduce((sum, hook) => sum + count(hook, 'queued'), 0);
  const fact = [`${hooks.length} ${hooks.length === 1 ? 'hook' : 'hooks'}, ${queued} queued`, ...faults].join('; ');
  return faults.length === 0 ? good(fact) : bad('warn', fact, null, 'look-at-hooks');
}
