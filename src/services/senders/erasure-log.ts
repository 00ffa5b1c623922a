import { timingSafeEqual } from 'node:crypto';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../../folder.ts';
import type { Keyring } from '../../privacy/keyring.ts';
import type { Scope } from '../scope.ts';

/** One erasure. */
export interface ErasureRecord {
  addressIndex: Buffer;
  erasedAt: Date;
}

/** A file outside the database, so that a restore does not lose it: one JSON object a line. */
export function erasureLogFile(config: { dataDir: string }): string {
  return join(config.dataDir, 'erasures.jsonl');
}

/** The signature shows that a line is neither forged nor from another database. */
export function formatRecord(keyring: Keyring, { addressIndex, erasedAt }: ErasureRecord): string {
  const [address, at] = [addressIndex.toString('base64url'), erasedAt.toISOString()];
  return `${JSON.stringify({ erasedAt: at, address, signature: sign(keyring, address, at) })}\n`;
}

export interface ReadLog {
  records: ErasureRecord[];
  /** The numbers of the lines that cannot be used: torn by a crash, changed, or from another database. */
  strangeLines: number[];
}

export function parseLog(keyring: Keyring, text: string): ReadLog {
  const read: ReadLog = { records: [], strangeLines: [] };
  // `trim` also removes byte order marks, which joined files have in the middle.
  for (const [index, line] of text.split('\n').entries()) {
    const record = parseRecord(keyring, line.trim());
    if (record !== undefined) read.records.push(record);
    else if (line.trim() !== '') read.strangeLines.push(index + 1);
  }
  return read;
}

/** One unreadable line must not bring back everybody in the other lines. @returns no records if there is no file yet. */
export async function readErasureLog(keyring: Keyring, file: string): Promise<ReadLog> {
  try {
    return parseLog(keyring, await readFile(file, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { records: [], strangeLines: [] };
    throw error;
  }
}

/**
 * Writes new records to this machine's log at once. Without a data folder here, or after an error (which is only logged,
 * because the erasure itself is done), the servers do it within an hour.
 *
 * @returns whether they were written.
 */
export async function noteErasures(scope: Scope, records: readonly ErasureRecord[]): Promise<boolean> {
  try {
    if (!(await stat(scope.config.dataDir)).isDirectory()) return false;
    const { records: written } = await readErasureLog(scope.keyring, erasureLogFile(scope.config));
    await appendRecords(scope, recordsNotIn(written, records));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') warnAboutLog(scope, error);
    return false;
  }
}

/** The newest of `records` for each address that `known` lacks, or has with an earlier time. */
export function recordsNotIn(known: readonly ErasureRecord[], records: readonly ErasureRecord[]): ErasureRecord[] {
  const newest = new Map<string, ErasureRecord>();
  for (const record of [...known, ...records]) {
    const address = record.addressIndex.toString('base64url');
    const other = newest.get(address);
    if (other === undefined || other.erasedAt < record.erasedAt) newest.set(address, record);
  }
  const alreadyKnown = new Set(known);
  return [...newest.values()].filter((it) => !alreadyKnown.has(it));
}

export async function appendRecords(
  { keyring, config }: Pick<Scope, 'keyring' | 'config'>,
  records: readonly ErasureRecord[],
): Promise<void> {
  if (records.length === 0) return;
  makeFolder(config.dataDir);
  await using file = await open(erasureLogFile(config), 'a+', 0o600);
  const { size } = await file.stat();
  const last = size === 0 ? '\n' : (await file.read(Buffer.alloc(1), 0, 1, size - 1)).buffer.toString();
  // Do not append to a line that a crash has torn.
  const start = last === '\n' ? '' : '\n';
  await file.appendFile(start + records.map((it) => formatRecord(keyring, it)).join(''));
  await file.sync();
}

export function warnAboutLog({ log, config }: Scope, error: unknown): void {
  log.warn(
    { err: error, file: erasureLogFile(config) },
    'the erasure log cannot be read or written: a restored backup would bring back people who were erased since',
  );
}

function parseRecord(keyring: Keyring, line: string): ErasureRecord | undefined {
  let parsed: { erasedAt?: unknown; address?: unknown; signature?: unknown } | null;
  try {
    parsed = JSON.parse(line);
  } catch {
    return undefined;
  }
  const { erasedAt, address, signature } = parsed ?? {};
  if (typeof erasedAt !== 'string' || typeof address !== 'string' || typeof signature !== 'string') return undefined;
  const [signed, expected] = [Buffer.from(signature), Buffer.from(sign(keyring, address, erasedAt))];
  if (signed.length !== expected.length || !timingSafeEqual(signed, expected)) return undefined;
  return { addressIndex: Buffer.from(address, 'base64url'), erasedAt: new Date(erasedAt) };
}

function sign(keyring: Keyring, address: string, erasedAt: string): string {
  return keyring.linkSignature(`erasure ${address} ${erasedAt}`).toString('base64url');
}
