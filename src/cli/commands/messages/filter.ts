import { type Command, Option } from 'commander';
import type { MessageStatus } from '../../../entities/index.ts';
import type { MessageFilter } from '../../../services/messages/messages.ts';
import { addPeriodOptions, type PeriodOptions, periodOf } from '../../session/options.ts';

/** As the entity has them, which is too heavy to load for a page of help. */
const statuses = ['accepted', 'held'] as const satisfies readonly MessageStatus[];

export type MessageFilterOptions = PeriodOptions & Pick<MessageFilter, 'form' | 'status' | 'sender'>;

export function addMessageFilter(command: Command): Command {
  return addPeriodOptions(
    command
      .option('--form <slug>', 'of this form')
      .addOption(new Option('--status <status>', 'of this status').choices(statuses))
      .option('--sender <id or address>', 'of this sender'),
  );
}

/** @throws {Problem} argument-invalid */
export function messageFilterOf(options: MessageFilterOptions, now: Date): MessageFilter {
  const { form, status, sender } = options;
  return { ...periodOf(options, now), ...(form && { form }), ...(status && { status }), ...(sender && { sender }) };
}
