import { Writable } from 'node:stream';
import { knownMigrations } from '../../database/migrate.ts';
import { isKeyOf } from '../../privacy/key-row.ts';
import { sealingKey } from '../../privacy/keyring.ts';
import type { ConfiguredKey } from '../../privacy/keyring-check.ts';
import { type Backup, BackupFault, filePath, madeByNewer, tablePath } from './manifest.ts';
import { type Copying, copyHashed, readFileStream } from './stream-files.ts';

/** Unlike `KeysWrong` it is not about the database, which may not exist yet. */
export class BackupKeysWrong extends Error {
  override readonly name = 'BackupKeysWrong';
}

/**
 * Whether this release can restore the backup with these keys.
 *
 * @param advice the end of an error about the keys: where they come from, and what to do.
 * @throws {BackupFault} if a newer release made it.
 * @throws {BackupKeysWrong}
 */
export function requireFitBackup(
  { dir, manifest }: Backup,
  configured: readonly ConfiguredKey[],
  advice: string,
): void {
  const { keys, migrations, program } = manifest;
  if (migrations.some((it) => !knownMigrations.has(it))) throw madeByNewer(dir, program);
  for (const { id, rows, canary } of keys) {
    const key = configured.find((it) => it.id === id);
    if (key === undefined && rows === 0) continue;
    if (key === undefined) throw new BackupKeysWrong(`the backup needs key "${id}" for ${rows} rows${advice}`);
    if (canary !== null && !isKeyOf({ canary: Buffer.from(canary, 'base64') }, sealingKey(id, key.secret)))
      throw new BackupKeysWrong(`the configured key "${id}" is not the key "${id}" of the backup${advice}`);
  }
  const stored = keys.filter((it) => it.canary !== null).map((it) => `"${it.id}"`);
  if (stored.length === 0 || configured.some((it) => stored.includes(`"${it.id}"`))) return;
  throw new BackupKeysWrong(`no configured key opens the backup, which needs key ${stored.join(' or ')}${advice}`);
}

/** This release does not know the tables that a newer one added. @throws {BackupFault} */
export function refuseNewerSchema(applied: readonly string[]): void {
  const unknown = applied.filter((it) => !knownMigrations.has(it));
  if (unknown.length === 0) return;
  throw new BackupFault(`a newer release has changed the database (${unknown.join(', ')}): use that release`);
}

/** Reads every file of the backup. @throws {BackupFault} if one is missing or was changed. */
export async function checkContent({ dir, manifest: { tables, files } }: Backup, copying: Copying): Promise<void> {
  const paths = [
    ...tables.map((it) => ({ path: tablePath(dir, it), ...it })),
    ...files.map((it) => ({ path: filePath(dir, it), ...it })),
  ];
  for (const { path, bytes, sha256 } of paths) {
    const nowhere = new Writable({ write: (_piece, _encoding, done) => done() });
    const found = await copyHashed(readFileStream(path), nowhere, copying).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw Object.assign(error, { path });
      throw new BackupFault(`${path} is missing: use another backup`);
    });
    if (found.bytes !== bytes || found.sha256 !== sha256)
      throw new BackupFault(`${path} has changed since the backup was made: use another backup`);
  }
}
