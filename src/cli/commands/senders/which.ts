import { Problem } from '../../../problems.ts';
import type { Scope } from '../../../services/scope.ts';
import type { CliCommand } from '../../session/command.ts';

export interface WhichOptions {
  email?: string;
}

export function addWhich(command: CliCommand): CliCommand {
  return command
    .argument('[sender]', 'an address, an id, the receipt of a message, or "latest" for who wrote last')
    .option('--email <address>', 'the same as an address without this option');
}

/** How to find the sender that was named. @throws {Problem} argument-invalid */
export function whichOf(
  name: string | undefined,
  { email }: WhichOptions,
): (scope: Scope) => Promise<{ id: string } | { email: string }> {
  if ((name === undefined) === (email === undefined)) {
    throw new Problem('argument-invalid', 'say which sender: an address, a receipt, "latest", an id, or --email');
  }
  return async (scope) => {
    if (name === undefined) return { email: email ?? '' };
    const { findNamedSender } = await import('../../../services/find-named.ts');
    return await findNamedSender(scope, name);
  };
}
