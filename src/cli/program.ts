import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { addCompletionCommands } from './commands/completion/completion.ts';
import { addConfigCommands } from './commands/config/config.ts';
import { addDeliverCommand } from './commands/deliver.ts';
import { addEmailCommands } from './commands/emails/emails.ts';
import { addEncryptionCommands } from './commands/encryption.ts';
import { addFormCommands } from './commands/forms/forms.ts';
import { addHealthCommand } from './commands/health/health.ts';
import { addHelpCommands } from './commands/help.ts';
import { addImportCommands } from './commands/import.ts';
import { addKeyCommands } from './commands/keys.ts';
import { addMessageCommands } from './commands/messages/messages.ts';
import { addMigrateCommands } from './commands/migrate/migrate.ts';
import { addPurgeCommand } from './commands/purge.ts';
import { addSenderCommands } from './commands/senders/senders.ts';
import { addServeCommand } from './commands/serve.ts';
import { addStatsCommand } from './commands/stats.ts';
import { addExamples } from './session/options.ts';
import type { Deps } from './terminal/deps.ts';
import { mayColour, safeLines, widthOf } from './terminal/output.ts';

/** A fresh tree of commands. Nothing heavier than itself is loaded before a command runs. */
export function createProgram(deps: Deps): Command {
  const program = new Command('ruffinweb');
  program
    .description('Contact-form backend: takes form posts, keeps them, and delivers the mail about them')
    .version(readVersion(), '-V, --version', 'print the version')
    .option('--quiet', 'print data and errors only')
    .option('--no-color', 'print without colours, as with NO_COLOR')
    .helpOption('-h, --help', 'print help')
    .configureHelp({
      showGlobalOptions: true,
      styleTitle: (text) => `\u001b[1m${text}\u001b[22m`,
      styleCommandText: (text) => `\u001b[36m${text}\u001b[39m`,
    })
    .configureOutput({
      writeOut: (text) => deps.stdout.write(text),
      writeErr: (text) => deps.stderr.write(text),
      outputError: (text, write) => {
        const said = text.trimEnd().replace(/^error: /, 'ruffinweb: ');
        for (const line of safeLines(said, widthOf(deps, deps.stderr))) write(`${line}\n`);
      },
      getOutHelpWidth: () => helpWidth(widthOf(deps, deps.stdout)),
      getErrHelpWidth: () => helpWidth(widthOf(deps, deps.stderr)),
      getOutHasColors: () => program.opts().color !== false && mayColour(deps, deps.stdout),
      getErrHasColors: () => program.opts().color !== false && mayColour(deps, deps.stderr),
    })
    .showHelpAfterError('Add --help to see how it is used.')
    // Set before any command is made: those made with `.command()` inherit all of the above.
    .exitOverride();

  addServeCommand(program, deps);
  addDeliverCommand(program, deps);
  addMigrateCommands(program, deps);
  addHealthCommand(program, deps);
  addSenderCommands(program, deps);
  addMessageCommands(program, deps);
  addEmailCommands(program, deps);
  addPurgeCommand(program, deps);
  addStatsCommand(program, deps);
  addFormCommands(program, deps);
  addKeyCommands(program, deps);
  addEncryptionCommands(program, deps);
  addImportCommands(program, deps);
  addConfigCommands(program, deps);
  addCompletionCommands(program, deps);
  // The last, since it goes through all the others.
  addHelpCommands(program);

  addExamples(program, ['ruffinweb messages show latest', 'ruffinweb emails resend --failed --since 2d --dry-run']);
  return program;
}

/** Lines of help are read best when they are not as long as a wide terminal. */
function helpWidth(columns: number): number {
  return Math.min(columns, 110);
}

function readVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
