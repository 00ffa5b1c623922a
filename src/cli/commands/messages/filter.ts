import { type Command, Option } from 'commander';
import type { MessageFilter } from '../../../services/messages/messages.ts';
import { messageStatuses } from '../../../words.ts';
import { addPeriodOptions, type PeriodOptions, periodOf } from '../../session/options.ts';

export type MessageFilterOptions = PeriodOptions & Pick<MessageFilter, 'form' | 'status' | 'sender'>;

export function addMessageFilter(command: Command): Command {
  return addPeriodOptions(
    command
      .option('--form <slug>', 'of this form')
      .addOption(new Option('--status <status>', 'of this status').choices(messageStatuses))
      .option('--sender <id or address>', 'of this sender'),
  );
}

/** @throws {Problem} argument-invalid */
export function messageFilterOf(options: MessageFilterOptions, now: Date): MessageFilter {
  const { form, status, sender } = options;
  return { ...periodOf(options, now), ...(form && { form }), ...(status && { status }), ...(sender && { sender }) };
}
