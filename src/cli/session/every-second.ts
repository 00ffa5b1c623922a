import { setTimeout as pause } from 'node:timers/promises';
import { isOutage } from '../../database/outage.ts';
import type { Scope } from '../../services/scope.ts';
import type { Call } from './command.ts';
import { runInScope } from './run-in-scope.ts';

/**
 * Looks once a second until `look` returns false or `stop` is aborted. If the database goes away after the first look, says
 * so once and opens it again: an embedded one may then have another port.
 */
export async function everySecond<Services>(
  { deps, output }: Call<unknown>,
  stop: AbortSignal,
  load: () => Promise<Services>,
  look: (scope: Scope, services: Services) => Promise<boolean>,
): Promise<void> {
  const wait = () => pause(1000, undefined, { signal: stop }).catch(() => {});
  let isAway: boolean | undefined;
  for (; !stop.aborted; await wait()) {
    try {
      return await runInScope(deps, load, async (scope, services) => {
        while (!stop.aborted && (await look(scope, services))) {
          if (isAway) output.warn('The database is back.');
          isAway = false;
          await wait();
        }
      });
    } catch (error) {
      const isOver = isOutage(error) || (error as Error).name === 'EmbeddedNotRunning';
      if (isAway === undefined || !isOver) throw error;
      if (!isAway) output.warn('The database does not answer; this goes on when it is back.');
      isAway = true;
    }
  }
}
