import type { EntityManager } from '@mikro-orm/postgresql';
import type { Config } from '../../config/config.ts';
import { fillPeriods, isOwner, notifyToOf, notifyToSql, tellSql } from '../delivery/held-summary.ts';

/** SQL: an owner got this summary, or an operator cancelled it. One that cancelled itself has a reason of its own. */
const wasSeen = `(emails.state = 'sent' or (emails.state = 'cancelled'
  and (emails.failure is null or emails.failure in ('refused', 'schedule-ended', 'outcome-unknown'))))`;

/** Fills what release 0.2.0, which may run beside this one, leaves empty when it queues, sends or cancels a summary. */
export async function fillTold(em: EntityManager, config: Config): Promise<void> {
  await fillPeriods(em);
  await em.execute(tellSql(wasSeen, isOwner(notifyToSql)), [notifyToOf(config)]);
}
