import type { Command } from 'commander';
import { Problem } from '../../problems.ts';
import { exitCode } from '../session/exit-codes.ts';
import { openDatabase, openKeys } from '../session/open-context.ts';
import { addExamples, optionsOf } from '../session/options.ts';
import type { Deps } from '../terminal/deps.ts';
import { Output, plural } from '../terminal/output.ts';
import { warnOfPause } from './emails/pause.ts';

export function addDeliverCommand(program: Command, deps: Deps): void {
  const deliver = program
    .command('deliver')
    .description('Deliver queued mail, until stopped')
    .option('--once', 'deliver what is due now, and end')
    .option('--json', 'print JSON (with --once)')
    .action(async (options: { once?: boolean; json?: boolean }, command: Command) => {
      if (options.json && !options.once) throw new Problem('argument-invalid', '--json needs --once');
      const output = new Output(deps, optionsOf(command));
      const { stop, hasten } = deps.stopInSteps();
      const context = await openKeys(await openDatabase(deps, { embedded: 'join', waiting: 'visitor' }));
      const [
        { openMailingContext },
        { createNewMailSignal, listenForNewMail },
        { createEmailJob },
        { deliverUntilIdle, runDeliveryLoop },
        { runMaintenance },
        { openScope },
        { countDue },
      ] = await Promise.all([
        import('../../mailing-context.ts'),
        import('../../services/delivery/new-mail-signal.ts'),
        import('../../services/emails/email-job.ts'),
        import('../../services/delivery/delivery-loop.ts'),
        import('../../services/maintenance/run-maintenance.ts'),
        import('../../services/scope.ts'),
        import('../../services/health/readiness.ts'),
      ]);
      await using mailing = await openMailingContext(context);
      const job = createEmailJob(mailing);
      if (options.once) {
        const tries = await deliverUntilIdle(mailing, job, stop, { hasten });
        const scope = openScope(mailing);
        const [paused, due] = [await warnOfPause(output, scope), await countDue(scope)];
        if (options.json) output.printJson({ tries, paused, due });
        else {
          if (paused !== null) output.print(`mail is paused: ${due} due`);
          else if (tries === 0) output.print('nothing is due');
          if (tries > 0) output.print(`${plural(tries, 'try', 'tries')} made: see "ruffinweb emails list"`);
        }
        if (stop.aborted) deps.setExitCode(exitCode.interrupted);
        return;
      }
      output.note(`delivering to ${mailing.mailer.describes} until stopped (Ctrl-C)`);
      stop.addEventListener('abort', () => mailing.log.info('stopping: mail in flight comes to its end first'));
      const newMail = createNewMailSignal();
      await using _listening = listenForNewMail(mailing, newMail);
      // Each process runs the maintenance; the database lets one do each task.
      await Promise.all([runDeliveryLoop(mailing, job, newMail, stop, hasten), runMaintenance(mailing, stop)]);
    });
  addExamples(deliver, ['ruffinweb deliver', 'ruffinweb deliver --once --json']);
}
