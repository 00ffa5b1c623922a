import type { EntityManager } from '@mikro-orm/postgresql';
import type { Config } from '../../config/config.ts';
import { Form } from '../../entities/index.ts';
import { lateMs } from '../delivery/held-summary.ts';
import { ownersOf } from '../forms/effective-settings.ts';

/** By the id of a form: of what began to be held at which times an owner was told, as a multirange of PostgreSQL. */
export type ToldTimes = ReadonlyMap<string, string>;

/**
 * A summary tells of what was held since the one before it; which one a message belongs to does not depend on whether
 * that was sent. A summary that an operator cancelled was seen by the operator. One that cancelled itself, with a
 * reason of its own, told nobody of anything.
 */
const isTold = `(state = 'sent'
  or (state = 'cancelled' and (failure is null or failure in ('refused', 'schedule-ended', 'outcome-unknown'))))`;

/** Summaries are few, one a day for each owner: all are read, and what is asked of each message is only a comparison. */
export async function readToldTimes(em: EntityManager, config: Config): Promise<ToldTimes> {
  const owners = (await em.fork().findAll(Form)).flatMap((form) =>
    ownersOf(config, form).map((recipient) => ({ form_id: form.id, recipient })),
  );
  const rows = await em.execute<{ form_id: string; times: string }[]>(
    `with summaries as (
       select recipient, created_at, ${isTold} as is_told,
         lag(created_at, 1, '-infinity') over (partition by recipient order by created_at) as before
       from emails where kind = 'held-summary' and resend_of_id is null
     )
     select form_id, range_agg(tstzrange(before - late, created_at - late, '(]'))::text as times
     from summaries
       join jsonb_to_recordset(?::jsonb) as owners (form_id uuid, recipient text) using (recipient)
       cross join (values (interval '${lateMs} milliseconds')) as lateness (late)
     where is_told group by form_id`,
    [JSON.stringify(owners)],
  );
  return new Map(rows.map((row) => [row.form_id, row.times]));
}
