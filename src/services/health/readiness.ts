import { readSchemaStatus } from '../../database/migrate.ts';
import { isOutage } from '../../database/outage.ts';
import { readPause } from '../delivery/pause/pause.ts';
import { takesWrites, type WriteAccess } from '../intake/write-access.ts';
import { requireFitSchema } from '../schema.ts';
import type { Scope } from '../scope.ts';

export interface Readiness {
  ready: boolean;
  /** A short word or number for each check. */
  checks: Record<string, string | number>;
}

/**
 * Whether this server can store a post right now. The age of the queue and its pause are reported, but they do not make
 * it unready.
 */
export async function readiness(scope: Scope, writes: WriteAccess): Promise<Readiness> {
  try {
    const status = await readSchemaStatus(scope.em);
    if (await isReadOnly(scope)) return { ready: false, checks: { database: 'read-only' } };
    if (!(await takesWrites(scope, writes))) return { ready: false, checks: { database: 'takes-no-writes' } };
    const checks: Readiness['checks'] = {
      database: 'ok',
      oldestDueSeconds: await oldestDueSeconds(scope),
      oldestQueuedSeconds: await oldestQueuedSeconds(scope),
    };
    try {
      requireFitSchema(status);
      const pause = await readPause(scope.em, undefined);
      return {
        ready: true,
        checks: { ...checks, queue: pause === null ? 'ok' : `paused: ${pause.cause}`, schema: 'ok' },
      };
    } catch (error) {
      scope.log.warn({ err: error }, 'not ready');
      return { ready: false, checks: { ...checks, schema: 'unfit' } };
    }
  } catch (error) {
    scope.log.warn({ err: error }, 'not ready');
    return { ready: false, checks: { database: isOutage(error) ? 'away' : 'failing' } };
  }
}

/** A standby, or a database that an administrator made read-only. */
async function isReadOnly(scope: Scope): Promise<boolean> {
  const [row] = await scope.em.execute<{ read_only: boolean }[]>(
    `select current_setting('transaction_read_only') = 'on' as read_only`,
  );
  return row?.read_only ?? false;
}

/** How many emails could be sent now. */
export async function countDue(scope: Pick<Scope, 'em'>): Promise<number> {
  const [row] = await scope.em.execute<{ count: number }[]>(
    `select count(*)::int as count from emails where state = 'queued' and due_at <= now()`,
  );
  return row?.count ?? 0;
}

/** For how long the oldest due email has been due; 0 if no email is due. */
export async function oldestDueSeconds(scope: Pick<Scope, 'em'>): Promise<number> {
  const [row] = await scope.em.execute<{ seconds: number }[]>(
    `select coalesce(extract(epoch from now() - min(due_at)), 0)::float8 as seconds
     from emails where state = 'queued' and due_at <= now()`,
  );
  return Math.max(0, Math.round(row?.seconds ?? 0));
}

/**
 * SQL: the age of the oldest notification that was not sent, whether it is due or postponed, in seconds; 0 if there is none.
 * While a mail server postpones every attempt, nothing is overdue.
 */
export const oldestQueuedSql = `(select coalesce(extract(epoch from now() - min(coalesce(requeued_at, created_at))), 0)::float8
    from emails where state = 'queued' and kind = 'notification')`;

export async function oldestQueuedSeconds(scope: Pick<Scope, 'em'>): Promise<number> {
  const [row] = await scope.em.execute<{ seconds: number }[]>(`select ${oldestQueuedSql} as seconds`);
  return Math.max(0, Math.round(row?.seconds ?? 0));
}
