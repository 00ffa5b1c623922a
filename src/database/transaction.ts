import type { EntityManager } from '@mikro-orm/postgresql';
import { mayRunAgain } from './statement.ts';

/**
 * Does work in a transaction of its own, with an entity manager of its own, and does all of it again where PostgreSQL
 * broke a deadlock by undoing it: nothing was done then. So `work` must leave nothing behind outside the database.
 */
export async function inTransaction<Result>(
  em: EntityManager,
  work: (inside: EntityManager) => Promise<Result>,
): Promise<Result> {
  for (let run = 1; ; run++) {
    try {
      return await em.fork().transactional(async (inside) => await work(inside as EntityManager));
    } catch (error) {
      if (run >= 3 || !mayRunAgain(error)) throw error;
    }
  }
}
