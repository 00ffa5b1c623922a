import { Option } from 'commander';
import type { MessageFilter } from '../../../services/messages/messages.ts';
import { messageStatuses } from '../../../words.ts';
import type { CliCommand } from '../../session/command.ts';
import { onlyGiven, type PeriodOptions, periodOf } from '../../session/options.ts';

export type MessageFilterOptions = PeriodOptions & Pick<MessageFilter, 'form' | 'status' | 'sender'>;

export function addMessageFilter(command: CliCommand): CliCommand {
  return command
    .option('--form <slug>', 'only of this form')
    .addOption(new Option('--status <status>', 'only with this status').choices(messageStatuses))
    .option('--sender <id or address>', 'only from this sender')
    .periodOptions();
}

/** @throws {Problem} argument-invalid */
export function messageFilterOf(options: MessageFilterOptions): MessageFilter {
  const { form, status, sender } = options;
  return { ...periodOf(options), ...onlyGiven({ form: form || undefined, status, sender: sender || undefined }) };
}
