import { setImmediate as turnOfEvents } from 'node:timers/promises';
import type { Context } from '../../context.ts';
import { columns } from '../../database/columns.ts';
import { runStatement, type Statement } from '../../database/statement.ts';
import { openScope } from '../scope.ts';
import type { LeasedRow } from './job.ts';

const leases = columns({ email_id: 'uuid', lease_token: 'uuid' });

const clearStatement: Statement = {
  name: 'clear_unsent_1',
  text: `
update emails set unsent_token = null
from ${leases.as('given')}
where emails.id = given.email_id and emails.lease_token = given.lease_token and emails.state = 'queued'
returning emails.id`,
};

/**
 * Records that the text of an email is about to be handed over, and resolves when that is committed. Never throws.
 *
 * @returns false if the text must not be handed over: another worker has the email, or the database did not answer.
 */
export type ClearUnsent = (row: Pick<LeasedRow, 'id' | 'leaseToken'>) => Promise<boolean>;

/** While one statement runs, the lanes that are ready gather for the next. */
export function createClearUnsent(context: Context): ClearUnsent {
  const scope = openScope(context);
  let waiting: { row: Parameters<ClearUnsent>[0]; resolve: (cleared: boolean) => void }[] = [];
  let isRunning = false;

  async function clearAll(): Promise<void> {
    isRunning = true;
    await turnOfEvents();
    while (waiting.length > 0) {
      const batch = waiting;
      waiting = [];
      const cleared = await clear(batch.map((it) => it.row));
      for (const { row, resolve } of batch) resolve(cleared.has(row.id));
    }
    isRunning = false;
  }

  async function clear(rows: Parameters<ClearUnsent>[0][]): Promise<Set<string>> {
    try {
      const given = rows.map((it) => ({ email_id: it.id, lease_token: it.leaseToken }));
      const cleared = await runStatement<{ id: string }>(scope.em, clearStatement, leases.values(given));
      return new Set(cleared.map((it) => it.id));
    } catch (error) {
      scope.log.warn({ err: error, emails: rows.length }, 'emails wait: the database does not answer');
      return new Set();
    }
  }

  return (row) =>
    new Promise((resolve) => {
      waiting.push({ row, resolve });
      if (!isRunning) void clearAll();
    });
}
