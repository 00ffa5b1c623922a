import type { Command } from 'commander';
import { addBackupCommands } from './commands/backup/backup.ts';
import { addCompletionCommands } from './commands/completion/completion.ts';
import { addConfigCommands } from './commands/config/config.ts';
import { addDeliverCommand } from './commands/deliver.ts';
import { addEmailCommands } from './commands/emails/emails.ts';
import { addEncryptionCommands } from './commands/encryption/encryption.ts';
import { addFindCommand } from './commands/find.ts';
import { addFormCommands } from './commands/forms/forms.ts';
import { addHealthCommand } from './commands/health/health.ts';
import { addHelpCommands } from './commands/help.ts';
import { addHookCommands } from './commands/hooks/hooks.ts';
import { addImportCommands } from './commands/import.ts';
import { addKeyCommands } from './commands/keys.ts';
import { addMessageCommands } from './commands/messages/messages.ts';
import { addMigrateCommands } from './commands/migrate.ts';
import { addPurgeCommand } from './commands/purge.ts';
import { addSenderCommands } from './commands/senders/senders.ts';
import { addServeCommand } from './commands/serve.ts';
import { addStatsCommand } from './commands/stats.ts';
import { addWatchCommand } from './commands/watch.ts';
import { CliCommand } from './session/command.ts';
import type { Deps } from './terminal/deps.ts';
import { mayColour, widthOf, writeToStderr } from './terminal/output.ts';
import { readVersion } from './version.ts';

const docsHelp = `Documents: docs/ in the sources; begin with tutorial.md and cli.md.
The HTTP API: /docs on your server.`;

/** Makes the tree of commands. Commands load what they need when they run, so that help and errors come fast. */
export function createProgram(deps: Deps): Command {
  const program = new CliCommand(deps, 'ruffinweb');
  program
    .description('Contact-form backend: accepts form posts, stores them, and sends the emails about them')
    .version(readVersion(), '-V, --version', 'print the version')
    .option('--quiet', 'print data and errors only')
    .option('--no-color', 'print without colours, as with NO_COLOR')
    .option('--utc', 'print exact times in UTC, and read dates in UTC; without it in your time zone (TZ)')
    .helpOption('-h, --help', 'print help')
    .configureHelp({
      showGlobalOptions: true,
      styleTitle: (text) => `\u001b[1m${text}\u001b[22m`,
      styleCommandText: (text) => `\u001b[36m${text}\u001b[39m`,
    })
    .configureOutput({
      writeOut: (text) => deps.stdout.write(text),
      writeErr: (text) => deps.stderr.write(text),
      outputError: (text) => writeToStderr(deps, text.trimEnd().replace(/^error: /, 'ruffinweb: ')),
      getOutHelpWidth: () => helpWidth(widthOf(deps, deps.stdout)),
      getErrHelpWidth: () => helpWidth(widthOf(deps, deps.stderr)),
      getOutHasColors: () => program.opts().color !== false && mayColour(deps, deps.stdout),
      getErrHasColors: () => program.opts().color !== false && mayColour(deps, deps.stderr),
    })
    .showHelpAfterError('Add --help to see how to use it.')
    .examples('ruffinweb messages show latest', 'ruffinweb emails resend --failed --since 2d --dry-run')
    .addHelpText('after', docsHelp)
    // Before the commands are added, since they inherit most of the above.
    .exitOverride();

  program.commandsGroup('Messages and mail:');
  addFindCommand(program);
  addMessageCommands(program);
  addSenderCommands(program);
  addEmailCommands(program);
  addHookCommands(program);
  addWatchCommand(program);
  addStatsCommand(program);
  program.commandsGroup('Run the server:');
  addServeCommand(program);
  addDeliverCommand(program);
  addHealthCommand(program);
  addMigrateCommands(program);
  program.commandsGroup('Set up:');
  addConfigCommands(program);
  addFormCommands(program);
  addKeyCommands(program);
  addCompletionCommands(program);
  program.commandsGroup('Look after the data:');
  addBackupCommands(program);
  addPurgeCommand(program);
  addEncryptionCommands(program);
  addImportCommands(program);
  program.commandsGroup('Help:');
  // Last, since it goes through all the others.
  addHelpCommands(program);
  return program;
}

/** Long lines of help are hard to read on a wide terminal. */
function helpWidth(columns: number): number {
  return Math.min(columns, 110);
}
