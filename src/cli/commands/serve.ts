import type { DatabaseContext } from '../../context.ts';
import type { Call, CliCommand } from '../session/command.ts';
import { exitCode } from '../session/exit-codes.ts';
import { openDatabase, openKeys } from '../session/open-context.ts';

interface ServeOptions {
  deliver: boolean;
  migrate?: boolean;
}

export function addServeCommand(program: CliCommand): void {
  program
    .command('serve')
    .description('Serve the API and deliver mail until stopped')
    .option('--no-deliver', 'leave delivery to another process (see "ruffinweb deliver")')
    .option('--migrate', 'bring the database schema up to date first')
    .examples('ruffinweb serve --migrate', 'PORT=8080 ruffinweb serve --no-deliver')
    .run(serve);
}

async function serve({ deps, options, output }: Call<ServeOptions>): Promise<void> {
  const { stop, hasten } = deps.stopInSteps();
  await using opened = new AsyncDisposableStack();
  const base = await openDatabase(deps, { embedded: 'start', waiting: 'visitor' });
  opened.use(base);
  if (options.migrate) await bringUpToDate(base);
  opened.move();
  const isEmbedded = base.config.databaseUrl.reveal() === 'embedded';
  // The embedded database runs only with this command, so no other command could migrate it.
  const context = await openKeys(base, isEmbedded ? 'ruffinweb serve --migrate' : undefined);
  const { openMailingContext } = await import('../../mailing-context.ts');
  await using mailing = await openMailingContext(context);
  const { serve: serveUntilStopped } = await import('../../server/serve.ts');
  const { calledAs } = deps;
  const print = (line: string) => output.print(line);
  await serveUntilStopped(mailing, { deliver: options.deliver, stop, hasten, calledAs, print });
  // It printed nothing that a script needs, so a full disk behind stdout is no failure.
  deps.setExitCode(exitCode.done);
}

/** With an operator's timeouts: a migration may take longer than a visitor waits, and so may another machine's. */
async function bringUpToDate(base: DatabaseContext): Promise<void> {
  const [{ findKeys, openDatabaseContext }, { requireFitKeys }, { migrateUp }] = await Promise.all([
    import('../../context.ts'),
    import('../../database/encryption-keys.ts'),
    import('../../database/migrate.ts'),
  ]);
  // Wrong keys refuse the start, so check them before anything changes.
  await requireFitKeys(base.orm.em.fork(), findKeys(base.config) ?? []);
  await using patient = await openDatabaseContext(base.config, {
    log: base.log,
    embedded: 'join',
    waiting: 'operator',
  });
  const waiting = () => base.log.warn('the tables are in use: the migration waits for them');
  for (const migration of await migrateUp(patient.orm, { waiting })) base.log.info({ migration }, 'migration applied');
}
