import type { EntityManager } from '@mikro-orm/postgresql';
import { formatSpan } from '../clock.ts';
import { openOrNull, replyPlace } from '../sealed-values.ts';
import { openKeyring } from './database.ts';
import { bad, type Finding, good, type HealthParts } from './health-check.ts';

/** How long a hook may fail before somebody looks at it, and how long failed deliveries are named. */
const [failingMinutes, failedDays] = [15, 7];

/** Hooks with what is wrong with them, and for one that fails its last attempt. */
const hooksSql = `
select name, hooks.state, queued, failed, oldest, attempt.id, attempt.code, attempt.reply,
  extract(epoch from now() - failing_since)::float8 * 1000 as failing
from hooks
  cross join lateral (
    select (count(*) filter (where state = 'queued'))::int as queued,
      extract(epoch from now() - min(coalesce(requeued_at, created_at)) filter (where state = 'queued'))::float8 * 1000 as oldest,
      (count(*) filter (where state = 'failed' and exists (
        select from hook_attempts where delivery_id = hook_deliveries.id and finished_at > now() - interval '${failedDays} days')))::int as failed
    from hook_deliveries where hook_id = hooks.id and state in ('queued', 'failed')
  ) as unsent
  left join lateral (
    select hook_attempts.* from hook_attempts join hook_deliveries on hook_deliveries.id = delivery_id
    where hook_id = hooks.id order by finished_at desc limit 1
  ) as attempt on failing_since < now() - interval '${failingMinutes} minutes'
order by name`;

interface Row {
  name: string;
  state: string;
  queued: number;
  failed: number;
  oldest: number | null;
  id: string | null;
  code: number | null;
  reply: Uint8Array | null;
  failing: number | null;
}

export async function checkHooks(parts: HealthParts, em: EntityManager): Promise<Finding> {
  const rows = await em.execute<Row[]>(hooksSql);
  if (rows.length === 0) return good('none');
  const keyring = await openKeyring(parts, em);
  const queued = rows.reduce((sum, it) => sum + it.queued, 0);
  const oldest = queued === 0 ? '' : `, the oldest for ${formatSpan(Math.max(0, ...rows.map((it) => it.oldest ?? 0)))}`;
  const faults = rows.flatMap(({ name, state, failed, failing, id, code, reply }) => {
    const said = keyring && id && reply && openOrNull(() => keyring.open(reply, replyPlace(id, 'hook_attempts')));
    const reason = [code, said].filter(Boolean).join(' ').replaceAll(/\s+/g, ' ').slice(0, 200);
    return [
      state === 'gone' || state === 'untested' ? `${name} is ${state}` : '',
      state === 'active' && failing !== null && failing > failingMinutes * 60_000
        ? `${name} has failed for ${formatSpan(failing)}${reason && `: ${reason}`}`
        : '',
      failed > 0 ? `${failed} to ${name} failed in the last ${failedDays} days` : '',
    ].filter((it) => it !== '');
  });
  const fact = [`${rows.length} ${rows.length === 1 ? 'hook' : 'hooks'}, ${queued} queued${oldest}`, ...faults].join(
    '; ',
  );
  return faults.length === 0 ? good(fact) : bad('warn', fact, null, 'look-at-hooks');
}
