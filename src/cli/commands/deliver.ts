import type { MailingContext } from '../../mailing-context.ts';
import { Problem } from '../../problems.ts';
import type { Call, CliCommand } from '../session/command.ts';
import { openDatabase, openKeys } from '../session/open-context.ts';
import { setExitCode } from '../session/results.ts';
import { plural } from '../terminal/output.ts';
import { warnOfPause } from './emails/pause.ts';

type DeliverCall = Call<{ once?: boolean }>;

export function addDeliverCommand(program: CliCommand): void {
  program
    .command('deliver')
    .description('Deliver queued mail until stopped')
    .option('--once', 'deliver the mail that is due now, and exit')
    .option('--json', 'print JSON (with --once)')
    .examples('ruffinweb deliver', 'ruffinweb deliver --once --json')
    .run(deliver);
}

async function deliver(call: DeliverCall): Promise<void> {
  const { deps, options } = call;
  if (options.json && !options.once) throw new Problem('argument-invalid', '--json needs --once');
  const signals = deps.stopInSteps();
  const context = await openKeys(await openDatabase(deps, { embedded: 'join', waiting: 'visitor' }));
  const { openMailingContext } = await import('../../mailing-context.ts');
  await using mailing = await openMailingContext(context);
  await (options.once ? deliverOnce : deliverUntilStopped)(call, mailing, signals);
}

type StopSignals = { stop: AbortSignal; hasten: AbortSignal };

const loadDelivery = () =>
  Promise.all([import('../../services/emails/email-job.ts'), import('../../services/delivery/delivery-loop.ts')]);

async function deliverOnce(
  { deps, output }: DeliverCall,
  mailing: MailingContext,
  { stop, hasten }: StopSignals,
): Promise<void> {
  const [[{ createEmailJob }, { deliverUntilIdle }], { openScope }, { countDue }] = await Promise.all([
    loadDelivery(),
    import('../../services/scope.ts'),
    import('../../services/health/readiness.ts'),
  ]);
  const { deliverHooksUntilIdle } = await import('../../services/hooks/run-hooks.ts');
  const mailTries = await deliverUntilIdle(mailing, createEmailJob(mailing), stop, { hasten });
  const tries = mailTries + (await deliverHooksUntilIdle(mailing, stop, hasten));
  const scope = openScope(mailing);
  const [paused, due] = [await warnOfPause(output, scope), await countDue(scope)];
  output.printResult({ tries, paused, due }, () => {
    if (paused !== null) output.print(`mail is paused: ${due} due`);
    else if (tries === 0) output.print('nothing is due');
    const where = mailTries > 0 ? 'emails list' : 'hooks deliveries list';
    if (tries > 0) output.print(`${plural(tries, 'try', 'tries')} made: see "ruffinweb ${where}"`);
  });
  setExitCode(deps, stop);
}

async function deliverUntilStopped(
  { output }: DeliverCall,
  mailing: MailingContext,
  { stop, hasten }: StopSignals,
): Promise<void> {
  const [[{ createEmailJob }, { runDeliveryLoop }], { createNewMailSignal, listenForNewMail }, { runMaintenance }] =
    await Promise.all([
      loadDelivery(),
      import('../../services/delivery/new-mail-signal.ts'),
      import('../../services/maintenance/run-maintenance.ts'),
    ]);
  const { watchConditions } = await import('../../services/alerts/watch-conditions.ts');
  output.note(`delivering to ${mailing.mailer.describes} until stopped (Ctrl-C)`);
  stop.addEventListener('abort', () => mailing.log.info('stopping: mail in flight is finished first'));
  const { runHooks } = await import('../../services/hooks/run-hooks.ts');
  const [newMail, newDeliveries] = [createNewMailSignal(), createNewMailSignal()];
  await using _listening = listenForNewMail(mailing, newMail, newDeliveries);
  // Every process runs the maintenance; the database lets one of them do each task.
  const loop = runDeliveryLoop(mailing, createEmailJob(mailing), newMail, stop, hasten);
  const others = [runHooks(mailing, newDeliveries, stop, hasten), watchConditions(mailing, stop)];
  await Promise.all([loop, runMaintenance(mailing, stop), ...others]);
}
