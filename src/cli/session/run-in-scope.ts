import type { Context, Opening } from '../../context.ts';
import type { Scope } from '../../services/scope.ts';
import type { Deps } from '../terminal/deps.ts';
import { openDatabase, openKeys } from './open-context.ts';

/**
 * Opens a scope, loads the services that the command needs, and closes everything when `act` is done.
 *
 * @param entities the entities that `act` needs, if few: fewer start faster.
 */
export async function runInScope<Services, Result>(
  deps: Deps,
  load: () => Promise<Services>,
  act: (scope: Scope, services: Services, context: Context) => Promise<Result>,
  entities?: Opening['entities'],
): Promise<Result> {
  await using context = await openKeys(await openDatabase(deps, { embedded: 'join', waiting: 'operator', entities }));
  const [{ openScope }, services] = await Promise.all([import('../../services/scope.ts'), load()]);
  return await act(openScope(context), services, context);
}
