import { Problem } from '../../../problems.ts';
import type { CliCommand } from '../../session/command.ts';

export interface WhichOptions {
  email?: string;
}

export function addWhich(command: CliCommand): CliCommand {
  return command
    .argument('[id]', 'as shown by "senders list --json"')
    .option('--email <address>', 'find the sender by address');
}

/** @throws {Problem} argument-invalid */
export function whichOf(id: string | undefined, { email }: WhichOptions): { id: string } | { email: string } {
  if (id !== undefined && email === undefined) return { id };
  if (email !== undefined && id === undefined) return { email };
  throw new Problem('argument-invalid', 'say which sender: an id, or --email with an address');
}
