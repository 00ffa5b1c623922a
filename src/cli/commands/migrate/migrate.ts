import type { Command } from 'commander';
import { Problem } from '../../../problems.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { adviseOnSchema, openDatabase } from '../../session/open-context.ts';
import { addExamples, optionsOf } from '../../session/options.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';
import type { Deps } from '../../terminal/deps.ts';
import { type DataOptions, Output } from '../../terminal/output.ts';
import { showSafe } from '../../terminal/safe-text.ts';

export function addMigrateCommands(program: Command, deps: Deps): void {
  const migrate = program.command('migrate').description('Database schema: bring up to date, look at, take back');

  const up = migrate
    .command('up')
    .description('Apply every migration that is pending; safe from several machines at once')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      await using base = await openDatabase(deps);
      const { migrateUp } = await import('../../../database/migrate.ts');
      const applied = await migrateUp(base.orm, { waiting: () => output.note(tablesBusy) });
      if (options.json) output.printJson({ applied });
      else if (applied.length === 0) output.print('nothing to do: the schema is up to date');
      for (const name of options.json ? [] : applied) output.print(`${output.style.good('applied')}  ${name}`);
    });
  addExamples(up, ['ruffinweb migrate up', 'DATABASE_URL=postgresql://… ruffinweb migrate up --json']);

  const down = migrate
    .command('down')
    .description('Take back the newest migration; data in what it drops is lost')
    .option('--yes', 'do not ask')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf<DataOptions & { yes?: boolean }>(command);
      const output = new Output(deps, options);
      await using base = await openDatabase(deps);
      const { migrateDown, readSchemaStatus } = await import('../../../database/migrate.ts');
      const newest = (await readSchemaStatus(base.orm.em.fork())).applied.at(-1)?.name;
      if (newest !== undefined)
        await confirmOrRefuse(deps, options, `Take back ${showSafe(newest)}? The data in what it drops is lost.`);
      const reverted =
        newest === undefined ? [] : await migrateDown(base.orm, { waiting: () => output.note(tablesBusy) });
      if (options.json) output.printJson({ reverted });
      else if (reverted.length === 0) output.print('nothing to take back: the database has no schema');
      for (const name of options.json ? [] : reverted) output.print(`${output.style.warning('taken back')}  ${name}`);
    });
  addExamples(down, ['ruffinweb migrate down', 'ruffinweb migrate down --yes']);

  const status = migrate
    .command('status')
    .description('List the migrations, applied and pending')
    .option('--utc', 'print exact times')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      await using base = await openDatabase(deps);
      const { readSchemaStatus } = await import('../../../database/migrate.ts');
      const found = await readSchemaStatus(base.orm.em.fork());
      if (options.json) {
        output.printJson(found);
        return;
      }
      const unknown = new Set(found.unknown);
      const rows = [
        ...found.applied.map((it) => ({
          state: unknown.has(it.name) ? 'unknown' : 'applied',
          name: it.name,
          at: it.appliedAt,
        })),
        ...found.pending.map((name) => ({ state: 'pending', name, at: undefined })),
      ];
      output.printTable(rows, [
        { header: 'MIGRATION', text: (row) => row.name },
        {
          header: 'STATE',
          text: (row) => row.state,
          style: (text, row) => (row.state === 'applied' ? output.style.good(text) : output.style.warning(text)),
        },
        { header: 'APPLIED', text: (row) => (row.at === undefined ? '' : output.time(row.at)) },
      ]);
      if (found.pending.length > 0) output.note('\nbring it up to date: ruffinweb migrate up');
      if (found.unknown.length > 0) output.note('\n"unknown": applied by a newer release than this one');
    });
  addExamples(status, ['ruffinweb migrate status', 'ruffinweb migrate status --json']);

  const check = migrate
    .command('check')
    .description('Say whether the schema fits this release; exits 4 when it does not')
    .option('--json', 'print JSON')
    .action(async (_options, command: Command) => {
      const options = optionsOf(command);
      const output = new Output(deps, options);
      await using base = await openDatabase(deps);
      const [{ readSchemaStatus }, { requireFitSchema }] = await Promise.all([
        import('../../../database/migrate.ts'),
        import('../../../services/schema.ts'),
      ]);
      const found = await readSchemaStatus(base.orm.em.fork());
      const verdict = judge(() => adviseOnSchema(() => requireFitSchema(found)));
      if (options.json) output.printJson({ fits: verdict.fits, pending: found.pending, unknown: found.unknown });
      else if (verdict.fits) output.print(verdict.said ?? 'the database schema is up to date');
      if (verdict.fits) return;
      if (!options.json) output.warn(`ruffinweb: ${verdict.said}`);
      deps.setExitCode(exitCode.unhealthy);
    });
  addExamples(check, ['ruffinweb migrate check', 'ruffinweb migrate check || ruffinweb migrate up']);

  const create = migrate
    .command('create')
    .description('Write an empty migration (in a source checkout)')
    .argument('<name>', 'what it does, as in add_block_list')
    .action(async (name: string, _options, command: Command) => {
      const output = new Output(deps, optionsOf(command));
      const { createMigration, migrationsFolder } = await import('./new-migration.ts');
      output.print(await createMigration(migrationsFolder, name, new Date()));
      output.note('fill in up() and down(), change the entities to match, then run "ruffinweb migrate up"');
    });
  addExamples(create, [
    'ruffinweb migrate create add_block_list',
    'ruffinweb migrate create drop_old_name_contract_senders',
  ]);
}

/** What may take a while, so that nobody thinks it hangs. */
const tablesBusy = 'the tables are in use, by a backup for one: waiting for them, and keeping no visitor waiting';

function judge(require: () => string | undefined): { fits: boolean; said: string | undefined } {
  try {
    return { fits: true, said: require() };
  } catch (error) {
    if (error instanceof Problem) return { fits: false, said: error.message };
    throw error;
  }
}
