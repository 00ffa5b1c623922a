import type { SenderView } from './present.ts';
import { presentSender } from './present.ts';
import type { Scope } from './scope.ts';
import { findSender } from './senders.ts';

/**
 * Blocks a sender, whose further messages are held then, or lets one in again. What is stored stays as it is.
 *
 * @throws {Problem} sender-unknown
 */
export async function blockSender(
  scope: Scope,
  which: { id: string } | { email: string },
  blocked: boolean,
): Promise<SenderView> {
  const sender = await findSender(scope, which);
  if (blocked) sender.block(scope.now());
  else sender.unblock();
  await scope.em.flush();
  return presentSender(scope.keyring, sender);
}
