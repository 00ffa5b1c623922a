import type { Context, Opening } from '../../context.ts';
import type { Scope } from '../../services/scope.ts';
import type { Deps } from '../terminal/deps.ts';
import { openCommandContext } from './open-context.ts';

/**
 * Opens a scope, loads the services that the command needs, and closes everything when `act` has ended.
 *
 * @param entities what the command reads, where that is little and the answer should come at once.
 */
export async function runInScope<Services, Result>(
  deps: Deps,
  load: () => Promise<Services>,
  act: (scope: Scope, services: Services, context: Context) => Promise<Result>,
  entities?: Opening['entities'],
): Promise<Result> {
  await using context = await openCommandContext(deps, entities);
  const [{ openScope }, services] = await Promise.all([import('../../services/scope.ts'), load()]);
  return await act(openScope(context), services, context);
}
