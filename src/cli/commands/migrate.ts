import { Problem } from '../../problems.ts';
import type { Call, CliCommand } from '../session/command.ts';
import { exitCode } from '../session/exit-codes.ts';
import { adviseOnSchema, openDatabase } from '../session/open-context.ts';
import { confirmOrRefuse } from '../terminal/confirm.ts';
import { showSafe } from '../terminal/safe-text.ts';

export function addMigrateCommands(program: CliCommand): void {
  const migrate = program.command('migrate').description('Database schema: update, show, check and revert it');

  migrate
    .command('up')
    .description('Apply all pending migrations; safe from several machines at once')
    .jsonOption()
    .examples('ruffinweb migrate up', 'DATABASE_URL=postgresql://… ruffinweb migrate up --json')
    .run(migrateUp);

  migrate
    .command('down')
    .description('Revert the newest migration; data in what it drops is lost')
    .option('--yes', 'do not ask')
    .jsonOption()
    .examples('ruffinweb migrate down', 'ruffinweb migrate down --yes')
    .run(migrateDown);

  migrate
    .command('status')
    .description('List applied and pending migrations')
    .jsonOption()
    .examples('ruffinweb migrate status', 'ruffinweb migrate status --json')
    .run(showStatus);

  migrate
    .command('check')
    .description('Check that the schema fits this release; exits 4 if it does not')
    .jsonOption()
    .examples('ruffinweb migrate check', 'ruffinweb migrate check || ruffinweb migrate up')
    .run(checkSchema);

  migrate
    .command('create')
    .description('Write an empty migration (in a clone of the sources)')
    .argument('<name>', 'what it does, as in add_block_list')
    .examples('ruffinweb migrate create add_block_list', 'ruffinweb migrate create drop_old_name_contract_senders')
    .run(writeMigration);
}

const loadMigrate = () => import('../../database/migrate.ts');

/** Shown when a migration has to wait, so that it does not seem to hang. */
const tablesBusy = 'the tables are in use, perhaps by a backup: waiting, without blocking any visitor';

async function migrateUp({ deps, output }: Call): Promise<void> {
  await using base = await openDatabase(deps);
  const { migrateUp } = await loadMigrate();
  const applied = await migrateUp(base.orm, { waiting: () => output.note(tablesBusy) });
  output.printResult({ applied }, () => {
    if (applied.length === 0) output.print('nothing to do: the schema is up to date');
    for (const name of applied) output.print(`${output.style.good('applied')}  ${name}`);
  });
}

async function migrateDown({ deps, options, output }: Call): Promise<void> {
  await using base = await openDatabase(deps);
  const { migrateDown, readSchemaStatus } = await loadMigrate();
  const newest = (await readSchemaStatus(base.orm.em.fork())).applied.at(-1)?.name;
  let reverted: string[] = [];
  if (newest !== undefined) {
    await confirmOrRefuse(deps, options, `Revert ${showSafe(newest)}? The data in what it drops is lost.`);
    reverted = await migrateDown(base.orm, { waiting: () => output.note(tablesBusy) });
  }
  output.printResult({ reverted }, () => {
    if (reverted.length === 0) output.print('nothing to revert: the database has no schema');
    for (const name of reverted) output.print(`${output.style.warning('reverted')}  ${name}`);
  });
}

async function showStatus({ deps, output }: Call): Promise<void> {
  await using base = await openDatabase(deps);
  const { readSchemaStatus } = await loadMigrate();
  const status = await readSchemaStatus(base.orm.em.fork());
  const rows = [
    ...status.applied.map(({ name, appliedAt }) => ({
      name,
      state: status.unknown.includes(name) ? 'unknown' : 'applied',
      applied: output.time(appliedAt),
    })),
    ...status.pending.map((name) => ({ name, state: 'pending', applied: '' })),
  ];
  output.printResult(status, () => {
    output.printTable(rows, [
      { header: 'MIGRATION', text: (it) => it.name },
      {
        header: 'STATE',
        text: (it) => it.state,
        style: (text, it) => (it.state === 'applied' ? output.style.good(text) : output.style.warning(text)),
      },
      { header: 'APPLIED', text: (it) => it.applied },
    ]);
    if (status.pending.length > 0) output.note('\nTo bring it up to date: ruffinweb migrate up');
    if (status.unknown.length > 0) output.note('\n"unknown": applied by a newer release than this one');
  });
}

async function checkSchema({ deps, options, output }: Call): Promise<void> {
  await using base = await openDatabase(deps);
  const [{ readSchemaStatus }, { requireFitSchema }] = await Promise.all([
    loadMigrate(),
    import('../../services/schema.ts'),
  ]);
  const status = await readSchemaStatus(base.orm.em.fork());
  const { fits, text } = judge(() => adviseOnSchema(() => requireFitSchema(status)));
  const { pending, unknown } = status;
  if (options.json) output.printJson({ fits, pending, unknown });
  else if (fits) output.print(text ?? 'the database schema is up to date');
  else output.warn(`ruffinweb: ${text}`);
  if (!fits) deps.setExitCode(exitCode.unhealthy);
}

async function writeMigration({ output }: Call, name: string): Promise<void> {
  const { createMigration, migrationsFolder } = await import('./new-migration.ts');
  output.print(await createMigration(migrationsFolder, name, new Date()));
  output.note('fill in up() and down(), change the entities to match, then run "ruffinweb migrate up"');
}

function judge(require: () => string | undefined): { fits: boolean; text: string | undefined } {
  try {
    return { fits: true, text: require() };
  } catch (error) {
    if (error instanceof Problem) return { fits: false, text: error.message };
    throw error;
  }
}
