import type { EntityManager } from '@mikro-orm/postgresql';
import { Attempt, type Email } from '../entities/index.ts';

/**
 * Queues emails anew, each with a whole schedule of tries and the Date of today: one of ten days ago is buried by mail
 * programs under what came since. The Message-ID is a new one as well, except where a try may have arrived: there the
 * old one lets the receiver drop a second copy.
 *
 * @param em with the rows locked.
 * @param now the database's time.
 */
export async function openRequeue(em: EntityManager, emails: readonly Email[], now: Date) {
  const unsure = await em.find(
    Attempt,
    { email: { $in: emails.map((it) => it.id) }, outcome: 'unknown' },
    { fields: ['email'] },
  );
  const mayHaveArrived = new Set(unsure.map((it) => it.email.id));
  return (email: Email): void => {
    // Still with the id of the email, by which the log of a mail server is searched.
    const domain = email.internetMessageId.slice(email.internetMessageId.lastIndexOf('@'));
    const renewed = `<${email.id}.${now.getTime().toString(36)}${domain}`;
    email.queueAgain(now, mayHaveArrived.has(email.id) ? email.internetMessageId : renewed);
  };
}
