import { Option } from 'commander';
import type { MessageFilter } from '../../../services/messages/messages.ts';
import type { Scope } from '../../../services/scope.ts';
import { messageStatuses } from '../../../words.ts';
import { type CliCommand, notEmpty } from '../../session/command.ts';
import { onlyGiven, type PeriodOptions, periodOf } from '../../session/options.ts';

export type MessageFilterOptions = PeriodOptions & Pick<MessageFilter, 'form' | 'status' | 'sender'>;

export function addMessageFilter(command: CliCommand): CliCommand {
  return command
    .option('--form <slug>', 'only of this form', notEmpty)
    .addOption(new Option('--status <status>', 'only with this status').choices(messageStatuses))
    .option('--sender <sender>', 'only from this sender: an address, an id, or the receipt of a message', notEmpty)
    .periodOptions();
}

/** @throws {Problem} argument-invalid */
export function messageFilterOf(options: MessageFilterOptions): MessageFilter {
  const { form, status, sender } = options;
  return { ...periodOf(options), ...onlyGiven({ form, status, sender }) };
}

/** The filter with an id or address for any name of a sender. @throws {Problem} sender-unknown, message-unknown */
export async function withSender(scope: Scope, filter: MessageFilter): Promise<MessageFilter> {
  if (filter.sender === undefined) return filter;
  const { findNamedSender } = await import('../../../services/find-named.ts');
  const which = await findNamedSender(scope, filter.sender);
  return { ...filter, sender: 'id' in which ? which.id : which.email };
}
