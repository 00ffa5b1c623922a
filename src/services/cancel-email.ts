import type { EntityManager } from '@mikro-orm/postgresql';
import { LockMode } from '@mikro-orm/postgresql';
import { validate as isUuid } from 'uuid';
import { Email } from '../entities/index.ts';
import { Problem } from '../problems.ts';
import { databaseNow } from './database-now.ts';
import type { Scope } from './scope.ts';

/**
 * Gives an email up that has not been sent: it never will be.
 *
 * @returns whether it was not cancelled before.
 * @throws {Problem} email-unknown, email-leased, email-not-cancellable
 */
export async function cancelEmail(scope: Scope, id: string): Promise<boolean> {
  return await scope.em.fork().transactional(async (em) => {
    const lock = { refresh: true, lockMode: LockMode.PESSIMISTIC_WRITE } as const;
    const email = isUuid(id) ? await em.findOne(Email, { id }, lock) : null;
    if (email === null) throw new Problem('email-unknown', `there is no email ${id}`);
    if (email.state === 'cancelled') return false;
    if (email.state === 'sent') throw new Problem('email-not-cancellable', 'the email was sent already');
    if (email.isLeased(await databaseNow(em as EntityManager))) {
      throw new Problem('email-leased', 'the email is being sent at this moment');
    }
    email.cancel();
    return true;
  });
}
