import type { EntityManager } from '@mikro-orm/postgresql';
import type { Config } from '../../config/config.ts';
import { fillPeriods, isOwner, notifyToOf, notifyToSql, tellSql } from '../delivery/held-summary.ts';

/** SQL condition: an owner got this summary, or an operator cancelled it. A worker gives other reasons for cancelling. */
const wasSeen = `(emails.state = 'sent' or (emails.state = 'cancelled'
  and (emails.failure is null or emails.failure in ('refused', 'schedule-ended', 'outcome-unknown'))))`;

/** Fills the columns that release 0.2.0, which may run beside this one, leaves empty in summaries and their messages. */
export async function fillOldSummaries(em: EntityManager, config: Config): Promise<void> {
  await fillPeriods(em);
  await em.execute(tellSql(wasSeen, isOwner(notifyToSql)), [notifyToOf(config)]);
}
