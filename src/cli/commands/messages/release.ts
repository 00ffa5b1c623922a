import { Option } from 'commander';
import { Problem } from '../../../problems.ts';
import type { Scope } from '../../../services/scope.ts';
import { type Suspicion, suspicions } from '../../../words.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { plural } from '../../terminal/output.ts';
import { change, manyMessages } from './change.ts';

interface ReleaseOptions {
  reason?: Suspicion;
  all?: boolean;
  yes?: boolean;
}

export function addReleaseCommand(messages: CliCommand): void {
  messages
    .command('release')
    .description('Release held messages: their mail is sent now')
    .argument('[message...]', manyMessages)
    .addOption(new Option('--reason <reason>', 'all that are held for this reason alone').choices(suspicions))
    .addOption(new Option('--all', 'all held messages').conflicts('reason'))
    .option('--yes', 'do not ask')
    .jsonOption()
    .examples(
      'ruffinweb messages release RW-4K2M9Q7T1X',
      'ruffinweb messages release RW-4K2M9Q7T1X RW-8B3N5P1R6Z --json',
      'ruffinweb messages release --reason same-text-from-many',
    )
    .run(release);
}

async function release(call: Call<ReleaseOptions>, which: string[]): Promise<void> {
  const { reason, all } = call.options;
  const isBulk = reason !== undefined || all === true;
  if (isBulk === which.length > 0) {
    throw new Problem('argument-invalid', 'name messages, or use --reason or --all');
  }
  if (!isBulk) return await change(call, which, 'released');
  const find = async (scope: Scope) => {
    const { listHeld } = await import('../../../services/messages/change-message.ts');
    const found = await listHeld(scope, reason);
    if (found.length === 0)
      call.output.note(reason ? 'No message is held for this reason alone.' : 'No message is held.');
    return found;
  };
  const question = (found: readonly unknown[]) =>
    `Release ${plural(found.length, 'held message')}? Owners get an email about each.`;
  await change(call, find, 'released', question);
}
