import type { Command } from 'commander';
import type { DatabaseContext } from '../../context.ts';
import { openDatabase, openKeys } from '../session/open-context.ts';
import { addExamples } from '../session/options.ts';
import type { Deps } from '../terminal/deps.ts';

export function addServeCommand(program: Command, deps: Deps): void {
  const serve = program
    .command('serve')
    .description('Serve the API and deliver mail, until stopped')
    .option('--no-deliver', 'leave delivering to another process (see "ruffinweb deliver")')
    .option('--migrate', 'bring the database schema up to date first')
    .action(async (options: { deliver: boolean; migrate?: boolean }) => {
      const { stop, hasten } = deps.stopInSteps();
      await using opened = new AsyncDisposableStack();
      const base = await openDatabase(deps, { embedded: 'start', waiting: 'visitor' });
      opened.use(base);
      if (options.migrate) await bringUpToDate(base);
      opened.move();
      const isEmbedded = base.config.databaseUrl.reveal() === 'embedded';
      // The embedded database runs only while this command does, so that no other could migrate it.
      const context = await openKeys(base, isEmbedded ? { remedy: 'ruffinweb serve --migrate' } : {});
      const { openMailingContext } = await import('../../mailing-context.ts');
      await using mailing = await openMailingContext(context);
      const { serve: serveUntilStopped } = await import('../../server/serve.ts');
      await serveUntilStopped(mailing, {
        deliver: options.deliver,
        stop,
        hasten,
        calledAs: deps.calledAs,
        print: (line) => deps.stdout.write(`${line}\n`),
      });
    });
  addExamples(serve, ['ruffinweb serve --migrate', 'PORT=8080 ruffinweb serve --no-deliver']);
}

/** A migration may take longer than a visitor waits, and another machine's, which it waits for, as well. */
async function bringUpToDate(base: DatabaseContext): Promise<void> {
  const [{ findKeys, openDatabaseContext }, { requireFitKeys }, { migrateUp }] = await Promise.all([
    import('../../context.ts'),
    import('../../database/encryption-keys.ts'),
    import('../../database/migrate.ts'),
  ]);
  // A start with wrong keys is refused, and should not have changed anything before.
  await requireFitKeys(base.orm.em.fork(), findKeys(base.config) ?? []);
  await using patient = await openDatabaseContext(base.config, {
    log: base.log,
    embedded: 'join',
    waiting: 'operator',
  });
  const waiting = () => base.log.warn('the tables are in use: the migration waits for them');
  for (const migration of await migrateUp(patient.orm, { waiting })) base.log.info({ migration }, 'migration applied');
}
