import { createHash } from 'node:crypto';
import { glob, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';

/** The backup, or the place that it should go to or come from, cannot be used. The message says why and what to do. */
export class BackupFault extends Error {
  override readonly name = 'BackupFault';
}

const format = 1;

const count = z.int().nonnegative();
const content = { bytes: count, sha256: z.string().regex(/^[0-9a-f]{64}$/) };
const name = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/);

const manifestSchema = z.object({
  format: z.literal(format),
  /** The release that made it. */
  program: z.string(),
  postgresql: z.string(),
  snapshotAt: z.iso.datetime(),
  migrations: z.array(z.string().regex(/^\d{14}_[a-z0-9_]+$/)).min(1),
  /** The keys that rows need. A canary, a known text encrypted with the key, shows a wrong key; keys are never here. */
  keys: z.array(z.object({ id: z.string(), rows: count, canary: z.base64().nullable() })),
  tables: z.array(z.object({ name, columns: z.array(z.string()), rows: count, ...content })),
  files: z
    .array(z.object({ name: z.string().regex(/^(erasures\.jsonl|templates\/[^/\0]*[^/.\0][^/\0]*)$/), ...content }))
    .refine((all) => new Set(all.map((it) => it.name)).size === all.length),
});

export type Manifest = z.infer<typeof manifestSchema>;

/** Length and hash of a file. */
export type Content = Pick<Manifest['files'][number], 'bytes' | 'sha256'>;

export const manifestFormat = format;
export const manifestFile = 'manifest.json';

export function tablePath(dir: string, table: { name: string }): string {
  return join(dir, 'tables', `${table.name}.copy`);
}

export function filePath(dir: string, file: { name: string }): string {
  return join(dir, 'files', file.name);
}

/** A finished backup. */
export interface Backup {
  dir: string;
  manifest: Manifest;
  /** The same for every copy of this backup. */
  id: string;
}

/** @throws {BackupFault} if there is none, or one that this release cannot read. */
export async function readBackup(dir: string): Promise<Backup> {
  // As from a shell variable that is not set.
  if (dir === '') throw new BackupFault('the name of the backup is empty: name its folder');
  const path = join(dir, manifestFile);
  const text = await readFile(path, 'utf8').catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw Object.assign(error, { path });
    throw await explainMissing(dir);
  });
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw new BackupFault(`${path} is damaged: use another backup`);
  }
  const made = z.object({ format: z.int(), program: z.string() }).safeParse(parsed).data;
  if (made !== undefined && made.format > format) throw madeByNewer(dir, made.program);
  const { data, error } = manifestSchema.safeParse(parsed);
  if (data === undefined) {
    const where = error.issues[0]?.path.join('.');
    throw new BackupFault(`${path} is damaged, at "${where}": use another backup`);
  }
  return { dir, manifest: data, id: createHash('sha256').update(text).digest('hex').slice(0, 32) };
}

async function explainMissing(dir: string): Promise<BackupFault> {
  if ((await stat(dir).catch(() => undefined)) === undefined) return new BackupFault(`${dir} does not exist`);
  const found = (await Array.fromAsync(glob(`*/${manifestFile}`, { cwd: dir }))).map((it) => join(dir, dirname(it)));
  const one = found.toSorted().findLast((it) => /^\d/.test(basename(it))) ?? found[0];
  const held =
    one && `, but holds ${found.length} ${found.length === 1 ? 'backup' : 'backups'}: name one, as in ${one}`;
  return new BackupFault(`${dir} is not a finished backup: it has no ${manifestFile}${held ?? ''}`);
}

export function madeByNewer(dir: string, program: string): BackupFault {
  return new BackupFault(`${dir} was made by release ${program}, which is newer than this one: use that release`);
}
