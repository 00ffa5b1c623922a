import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseContext } from '../../../context.ts';
import type { Backup } from '../../../services/backup/manifest.ts';
import type { Copying } from '../../../services/backup/stream-files.ts';
import type { Call, CliCommand } from '../../session/command.ts';
import { exitCode } from '../../session/exit-codes.ts';
import { openConfig, openDatabase } from '../../session/open-context.ts';
import { confirmOrRefuse } from '../../terminal/confirm.ts';
import type { Deps } from '../../terminal/deps.ts';
import { showProgress } from '../../terminal/progress.ts';
import { readVersion } from '../../version.ts';
import { bytesOf, printCreated, printRestored, printVerified } from './print-backup.ts';

export function addBackupCommands(program: CliCommand): void {
  const backup = program
    .command('backup')
    .description('Back up the database, erasure log and templates into a folder, and restore it; keys are never in it');

  backup
    .command('create')
    .description('Write a backup into a new folder, while servers run')
    .argument('<dir>', 'the folder to create; one for each backup')
    .jsonOption()
    .examples('ruffinweb backup create /srv/backups/2026-11-22', 'ruffinweb backup create "$(date +%F)" --json')
    .run(create);

  backup
    .command('verify')
    .description('Restore a backup into a scratch database and decrypt from it; health then knows its age')
    .argument('<dir>', 'the folder of the backup')
    .jsonOption()
    .examples('ruffinweb backup verify /srv/backups/2026-11-22', 'DATABASE_URL=… ruffinweb backup verify copy --json')
    .run(verify);

  backup
    .command('restore')
    .description('Restore a backup into an empty database; mail is paused, and erased people stay erased')
    .argument('<dir>', 'the folder of the backup')
    .option('--yes', 'do not ask')
    .jsonOption()
    .examples('ruffinweb backup restore /srv/backups/2026-11-22', 'DATABASE_URL=… ruffinweb backup restore copy --yes')
    .run(restore);
}

async function create(call: Call, dir: string): Promise<void> {
  const { deps, output } = call;
  // Before anything else reads the settings: the first call knows where each came from.
  const { values, sourceOf, file } = deps.readSettings();
  const created = await stoppable(call, undefined, 'copied', async (copying) => {
    await using base = await openDatabase(deps, { embedded: 'join-or-start', waiting: 'operator' });
    const { createBackup } = await import('../../../services/backup/create-backup.ts');
    const keyFiles = [values.ENCRYPTION_KEYS_FILE ?? '', join(base.config.dataDir, 'encryption.keys')];
    if (sourceOf('ENCRYPTION_KEYS') === '.env') keyFiles.push(file);
    return await createBackup(base, {
      ...copying,
      dir,
      program: readVersion(),
      keyFiles: keyFiles.filter((it) => it !== ''),
    });
  });
  if (created === undefined) return;
  output.printResult(created, () => printCreated(call, created));
}

async function verify(call: Call, dir: string): Promise<void> {
  const { deps, output } = call;
  const backup = await readFitBackup(call, dir);
  const opened = await stoppable(call, bytesOf(backup.manifest), 'restored', async (copying) => {
    await using base = await openDatabase(deps, { embedded: 'join-or-start', waiting: 'operator' });
    const [{ openContext, openDatabaseContext }, { Secret }, { verifyBackup }] = await Promise.all([
      import('../../../context.ts'),
      import('../../../secret.ts'),
      import('../../../services/backup/verify-backup.ts'),
    ]);
    const openScratch = (url: string): Promise<DatabaseContext> =>
      openDatabaseContext(
        { ...base.config, databaseUrl: new Secret(url) },
        { log: base.log, embedded: 'join', waiting: 'operator' },
      );
    return await verifyBackup(base, backup, { openDatabase: openScratch, openContext }, copying);
  });
  if (opened === undefined) return;
  output.printResult({ ...backup, opened }, () => printVerified(call, backup, opened));
}

async function restore(call: Call, dir: string): Promise<void> {
  const { deps, options, output } = call;
  const backup = await readFitBackup(call, dir);
  const { snapshotAt } = backup.manifest;
  const question = `Restore the backup of ${output.exactTime(snapshotAt)}? It replaces the database's forms and API keys; stop its servers first.`;
  await confirmOrRefuse(deps, options, question);
  let isEmbedded = false;
  const restored = await stoppable(call, bytesOf(backup.manifest), 'restored', async (copying) => {
    const [{ openContext }, { openScope }, { checkContent }, { restoreRows }, { finishRestore }] = await Promise.all([
      import('../../../context.ts'),
      import('../../../services/scope.ts'),
      import('../../../services/backup/fit-backup.ts'),
      import('../../../services/backup/restore-rows.ts'),
      import('../../../services/backup/finish-restore.ts'),
    ]);
    // First, since a running server refuses at once, and a large backup takes long to read.
    const base = await openDatabase(deps, { embedded: 'start', waiting: 'operator' });
    await using opened = new AsyncDisposableStack();
    opened.use(base);
    isEmbedded = base.config.databaseUrl.reveal() === 'embedded';
    await checkContent(backup, { stop: copying.stop });
    await restoreRows(base.orm, backup, copying);
    opened.move();
    await using context = await openContext(base);
    return await finishRestore(openScope(context), backup, copying);
  });
  if (restored === undefined) return;
  output.printResult({ ...backup, ...restored }, () => printRestored(call, backup, restored, isEmbedded));
}

/** Reads the manifest, and compares its keys with ours before anything is opened or written. */
async function readFitBackup({ deps }: Call, dir: string): Promise<Backup> {
  const { config } = await openConfig(deps);
  const [{ findKeys }, { readBackup }, { requireFitBackup }] = await Promise.all([
    import('../../../context.ts'),
    import('../../../services/backup/manifest.ts'),
    import('../../../services/backup/fit-backup.ts'),
  ]);
  const backup = await readBackup(dir);
  requireFitBackup(backup, findKeys(config) ?? [], keyAdvice(deps, config.dataDir));
  return backup;
}

/** Where the configured keys come from, and where to put the right ones. */
function keyAdvice(deps: Deps, dataDir: string): string {
  const source = deps.readSettings().sourceOf('ENCRYPTION_KEYS');
  if (source === 'environment' || source === '.env')
    return ` (from ENCRYPTION_KEYS; ENCRYPTION_KEYS_FILE is ignored while it is set): put your copy of the keys there, and run this again`;
  const file = join(dataDir, 'encryption.keys');
  return ` (from ${source === 'file' ? 'ENCRYPTION_KEYS_FILE' : `${file}${existsSync(file) ? '' : ', which is missing'}`}): set ENCRYPTION_KEYS_FILE to your copy of the keys, or put it at ${file}, and run this again`;
}

/** Shows the progress in megabytes. The first Ctrl-C stops the work. @returns undefined if it was stopped. */
async function stoppable<Result>(
  { deps, options, output }: Call,
  total: number | undefined,
  word: string,
  work: (copying: Copying) => Promise<Result>,
): Promise<Result | undefined> {
  const stop = deps.stopGently();
  const megabytes = (bytes: number) => Math.floor(bytes / 1e6);
  using progress = showProgress(deps, options, total === undefined ? undefined : megabytes(total), `MB ${word}`);
  let done = 0;
  const onBytes = (bytes: number) => {
    if (megabytes(done) !== megabytes(done + bytes)) progress.report(megabytes(done + bytes));
    done += bytes;
  };
  try {
    return await work({ stop, onBytes });
  } catch (error) {
    if (!stop.aborted) throw error;
    progress.clear();
    output.warn('stopped: run it again');
    deps.setExitCode(exitCode.interrupted);
    return undefined;
  }
}
