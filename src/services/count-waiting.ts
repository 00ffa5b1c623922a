import { Form } from '../entities/index.ts';
import { databaseNow } from './clock.ts';
import { retentionOf } from './forms/effective-settings.ts';
import { hasNotification, heldDays, heldTooLong, idBefore, receivedBefore, wasToldOf } from './retention.ts';
import type { Scope } from './scope.ts';
import { readToldTimes } from './told-of-held.ts';

/**
 * How many messages are kept beyond their time, since mail about them waits: the three cases of `waitsForMail`. Each begins
 * with what it is about, since what is past its time may be very much.
 */
export async function countWaiting(scope: Pick<Scope, 'em' | 'config'>): Promise<number> {
  const em = scope.em.fork();
  const now = await databaseNow(em);
  const told = await readToldTimes(em, scope.config);
  const old = [`(messages.id < '${idBefore(heldDays, now)}' and ${heldTooLong})`];
  for (const form of await em.findAll(Form)) {
    const days = retentionOf(scope.config, form);
    if (days === 0) continue;
    old.push(`(form_id = '${form.id}' and messages.id < '${idBefore(days, now)}' and ${receivedBefore(days)})`);
  }
  const isOld = `(${old.join(' or ')})`;
  const nobodyHas = `not ${hasNotification('sent')}`;
  const [row] = await em.execute<{ count: number }[]>(
    `select count(*)::int as count from (
       select messages.id from emails join messages on messages.id = message_id
       where emails.state = 'queued' and ${isOld}
       union
       select messages.id from emails join messages on messages.id = message_id
       where emails.state = 'failed' and emails.kind = 'notification' and ${isOld} and ${nobodyHas}
       union
       select messages.id from messages
       where status = 'held' and ${isOld} and not ${wasToldOf(told)} and ${hasNotification('held')} and ${nobodyHas}
     ) as waiting`,
  );
  return row?.count ?? 0;
}
