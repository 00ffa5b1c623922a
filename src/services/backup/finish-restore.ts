import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, realpath, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { makeFolder } from '../../folder.ts';
import type { Scope } from '../scope.ts';
import { appendRecords, erasureLogFile, parseLog, readErasureLog, recordsNotIn } from '../senders/erasure-log.ts';
import { type Replayed, replayErasures } from '../senders/replay-erasures.ts';
import { type Backup, filePath } from './manifest.ts';
import { removeRestoreMarkers } from './restore-rows.ts';
import { type Copying, copyHashed, readFileStream, writeFileStream } from './stream-files.ts';

export interface Restored {
  /** Erasures that the backup's tables lacked. */
  erasures: Replayed;
  /** Lines of both erasure logs that cannot be used: torn, changed, or from another database. */
  strangeLines: number;
  /** The erasure log that DATA_DIR lacked; people who were erased after the backup are in no other. */
  missingLog: string | null;
  /** Whether the templates came from the backup. `kept`: DATA_DIR has some already. */
  templates: 'restored' | 'kept' | 'none';
  /** Emails that the old server may have sent since the backup was made. */
  queued: number;
  /** When the oldest of them was queued. */
  queuedSince: string | null;
}

/** Replays erasures from the logs of the backup and of DATA_DIR, and places the templates. May be run again. */
export async function finishRestore(scope: Scope, backup: Backup, copying: Copying): Promise<Restored> {
  const erasureLog = erasureLogFile(scope.config);
  const missingLog = existsSync(erasureLog) ? null : erasureLog;
  const own = await readErasureLog(scope.keyring, erasureLog);
  const hasLog = backup.manifest.files.some((it) => it.name === 'erasures.jsonl');
  const text = hasLog ? await readFile(filePath(backup.dir, { name: 'erasures.jsonl' }), 'utf8') : '';
  const stored = parseLog(scope.keyring, text);
  const all = [...own.records, ...stored.records];
  const erasures = await replayErasures(scope, all);
  await appendRecords(scope, recordsNotIn(own.records, all));
  const templates = await placeTemplates(scope.config.dataDir, backup, copying);
  const [queue] = await scope.em.execute<{ count: number; since: string | null }[]>(
    `select count(*)::int as count, min(created_at)::text as since from emails where state = 'queued'`,
  );
  await removeRestoreMarkers(scope.em);
  const since = queue?.since ?? null;
  return {
    erasures,
    missingLog,
    strangeLines: own.strangeLines.length + stored.strangeLines.length,
    templates,
    queued: queue?.count ?? 0,
    queuedSince: since === null ? null : new Date(since).toISOString(),
  };
}

/** All of them at once, and only if there are none: a mixture would be neither. */
async function placeTemplates(dataDir: string, backup: Backup, copying: Copying): Promise<Restored['templates']> {
  const names = backup.manifest.files.map((it) => it.name).filter((it) => it.startsWith('templates/'));
  if (names.length === 0) return 'none';
  const named = join(dataDir, 'templates');
  // A link to an empty folder stays a link.
  const folder = await realpath(named).catch(() => named);
  if ((await readdir(folder).catch(() => [])).length > 0) return 'kept';
  makeFolder(dataDir);
  const draft = `${folder}.new`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { mode: 0o700 });
  for (const name of names)
    await copyHashed(
      readFileStream(filePath(backup.dir, { name })),
      writeFileStream(join(draft, basename(name))),
      copying,
    );
  await rename(draft, folder);
  return 'restored';
}
