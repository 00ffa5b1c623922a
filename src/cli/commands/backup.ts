import { join } from 'node:path';
import type { DatabaseContext } from '../../context.ts';
import type { Created } from '../../services/backup/create-backup.ts';
import type { Restored } from '../../services/backup/finish-restore.ts';
import type { Backup, Manifest } from '../../services/backup/manifest.ts';
import type { Copying } from '../../services/backup/stream-files.ts';
import { adviceWords } from '../session/advice.ts';
import type { Call, CliCommand } from '../session/command.ts';
import { exitCode } from '../session/exit-codes.ts';
import { openConfig, openDatabase } from '../session/open-context.ts';
import { confirmOrRefuse } from '../terminal/confirm.ts';
import { plural } from '../terminal/output.ts';
import { showProgress } from '../terminal/progress.ts';
import { showSafe } from '../terminal/safe-text.ts';
import { formatExact } from '../terminal/times.ts';
import { readVersion } from '../version.ts';

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
  await stoppable(call, undefined, 'copied', async (copying) => {
    await using base = await openDatabase(deps, { embedded: 'join-or-start', waiting: 'operator' });
    const { createBackup } = await import('../../services/backup/create-backup.ts');
    const keyFiles = [values.ENCRYPTION_KEYS_FILE ?? '', join(base.config.dataDir, 'encryption.keys')];
    if (sourceOf('ENCRYPTION_KEYS') === '.env') keyFiles.push(file);
    const created = await createBackup(base, {
      ...copying,
      dir,
      program: readVersion(),
      keyFiles: keyFiles.filter((it) => it !== ''),
    });
    return () =>
      output.printResult({ ...summary(created), unfinished: created.unfinished }, () => printCreated(call, created));
  });
}

async function verify(call: Call, dir: string): Promise<void> {
  const { deps, output } = call;
  const backup = await readFitBackup(call, dir);
  await stoppable(call, bytesOf(backup.manifest), 'restored', async (copying) => {
    await using base = await openDatabase(deps, { embedded: 'join-or-start', waiting: 'operator' });
    const [{ openContext, openDatabaseContext }, { Secret }, { verifyBackup }] = await Promise.all([
      import('../../context.ts'),
      import('../../secret.ts'),
      import('../../services/backup/verify-backup.ts'),
    ]);
    const openScratch = (url: string): Promise<DatabaseContext> =>
      openDatabaseContext(
        { ...base.config, databaseUrl: new Secret(url) },
        { log: base.log, embedded: 'join', waiting: 'operator' },
      );
    const opened = await verifyBackup(base, backup, { openDatabase: openScratch, openContext }, copying);
    return () =>
      output.printResult({ ...summary(backup), opened }, () => {
        printBackup(call, backup);
        output.print(`${output.style.good('verified')}: restored, counted, ${plural(opened, 'value')} decrypted`);
      });
  });
}

async function restore(call: Call, dir: string): Promise<void> {
  const { deps, options, output } = call;
  const backup = await readFitBackup(call, dir);
  const { snapshotAt } = backup.manifest;
  const question = `Restore the backup of ${formatExact(new Date(snapshotAt))}? It replaces forms and keys of programs in the database.`;
  await confirmOrRefuse(deps, options, question);
  await stoppable(call, bytesOf(backup.manifest), 'restored', async (copying) => {
    const [{ openContext }, { openScope }, { checkContent }, { restoreRows }, { finishRestore }] = await Promise.all([
      import('../../context.ts'),
      import('../../services/scope.ts'),
      import('../../services/backup/fit-backup.ts'),
      import('../../services/backup/restore-rows.ts'),
      import('../../services/backup/finish-restore.ts'),
    ]);
    await checkContent(backup, { stop: copying.stop });
    const base = await openDatabase(deps, { embedded: 'start', waiting: 'operator' });
    await using opened = new AsyncDisposableStack();
    opened.use(base);
    await restoreRows(base.orm, backup, copying);
    opened.move();
    await using context = await openContext(base);
    const restored = await finishRestore(openScope(context), backup, copying);
    return () => output.printResult({ ...summary(backup), ...restored }, () => printRestored(call, backup, restored));
  });
}

/** Reads the manifest, and compares its keys with ours before anything is opened or written. */
async function readFitBackup({ deps }: Call, dir: string): Promise<Backup> {
  const { config } = await openConfig(deps);
  const [{ findKeys }, { readBackup }, { requireFitBackupKeys }] = await Promise.all([
    import('../../context.ts'),
    import('../../services/backup/manifest.ts'),
    import('../../services/backup/fit-backup.ts'),
  ]);
  const backup = await readBackup(dir);
  requireFitBackupKeys(backup, findKeys(config) ?? []);
  return backup;
}

/** Shows the progress in megabytes. The first Ctrl-C stops the work, which then leaves nothing behind. */
async function stoppable(
  { deps, options, output }: Call,
  total: number | undefined,
  word: string,
  work: (copying: Copying) => Promise<() => void>,
): Promise<void> {
  const stop = deps.stopGently();
  const megabytes = (bytes: number) => Math.floor(bytes / 1e6);
  let done = 0;
  let print: () => void;
  try {
    using progress = showProgress(deps, options, total === undefined ? undefined : megabytes(total), `MB ${word}`);
    const onBytes = (bytes: number) => {
      if (megabytes(done) !== megabytes(done + bytes)) progress.report(megabytes(done + bytes));
      done += bytes;
    };
    print = await work({ stop, onBytes });
  } catch (error) {
    if (!stop.aborted) throw error;
    output.warn('stopped; run it again');
    deps.setExitCode(exitCode.interrupted);
    return;
  }
  print();
}

const bytesOf = ({ tables }: Manifest) => tables.reduce((sum, it) => sum + it.bytes, 0);

function summary({ dir, manifest: { program, snapshotAt, keys, tables, files } }: Pick<Backup, 'dir' | 'manifest'>) {
  return {
    dir,
    program,
    snapshotAt,
    keys: keys.map(({ id, rows }) => ({ id, rows })),
    tables: tables.map(({ name, rows, bytes }) => ({ name, rows, bytes })),
    files: files.map(({ name, bytes }) => ({ name, bytes })),
  };
}

function printBackup({ output }: Call, { dir, manifest }: Pick<Backup, 'dir' | 'manifest'>): void {
  const { program, snapshotAt, keys, tables, files } = manifest;
  const rowsOf = (name: string) => tables.find((it) => it.name === name)?.rows ?? 0;
  const needed = keys.filter((it) => it.rows > 0);
  output.printDetails([
    ['backup', dir, output.style.bold],
    ['taken', `${formatExact(new Date(snapshotAt))} by release ${program}`],
    [
      'contains',
      `${plural(rowsOf('messages'), 'message')}, ${plural(rowsOf('senders'), 'sender')}, ${plural(rowsOf('emails'), 'email')}`,
    ],
    [
      'size',
      `${(bytesOf(manifest) / 1e6).toFixed(1)} MB in ${plural(tables.length, 'table')}, ${plural(files.length, 'file')}`,
    ],
    [
      'needs keys',
      needed.length === 0 ? 'none' : needed.map((it) => `${it.id} (${plural(it.rows, 'row')})`).join(', '),
    ],
  ]);
}

function printCreated(call: Call, created: Created): void {
  printBackup(call, created);
  call.output.note('\nKeep its keys in another place. To see that it can be restored: ruffinweb backup verify <dir>');
  if (created.unfinished.length === 0) return;
  const folders = created.unfinished.map((it) => showSafe(it)).join('\n  ');
  call.output.warn(`\nUnfinished, from runs that were killed; delete them unless another backup runs:\n  ${folders}`);
}

function printRestored(call: Call, backup: Backup, { erasures, templates, queued, queuedSince }: Restored): void {
  const { output } = call;
  printBackup(call, backup);
  const gone = `${plural(erasures.messages, 'message')} and ${plural(erasures.senders, 'sender')} are gone`;
  const since = queuedSince === null ? '' : `, the oldest since ${formatExact(new Date(queuedSince))}`;
  output.printDetails([
    ['erased again', erasures.records > 0 ? `${plural(erasures.records, 'person', 'people')}: ${gone}` : 'nobody'],
    ['templates', templates === 'kept' ? 'kept those of DATA_DIR' : templates === 'restored' ? 'restored' : 'none'],
    ['mail', `paused; ${plural(queued, 'email')} queued${since}`, output.style.warning],
  ]);
  if (queued > 0)
    output.note(`\nThe old server may have sent queued emails after the backup: they would be sent twice.`);
  output.note(`${queued > 0 ? '' : '\n'}Next: ${adviceWords['resume-restored']}`);
}
