import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../folder.ts';

/** A new `ENCRYPTION_KEYS` value with one random key. Its id is the date. */
export function makeKeys(now: Date): string {
  return `k${now.toISOString().slice(0, 10).replaceAll('-', '')}:${randomBytes(32).toString('base64')}`;
}

/**
 * Makes the key file for a program without `ENCRYPTION_KEYS` (never in production). Only its owner may read it. Two first
 * starts at once end with the same keys, because linking a file to a name that exists fails.
 */
export function makeKeyFile(dataDir: string, now: Date): string {
  const file = keyFile(dataDir);
  makeFolder(dataDir);
  const draft = `${file}.${process.pid}-${randomBytes(4).toString('hex')}`;
  writeFileSync(draft, `${makeKeys(now)}\n`, { mode: 0o600, flush: true });
  try {
    linkSync(draft, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft);
  }
  return readFileSync(file, 'utf8').trim();
}

/** @returns undefined if there is no key file. */
export function readKeyFile(dataDir: string): string | undefined {
  try {
    return readFileSync(keyFile(dataDir), 'utf8').trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function keyFile(dataDir: string): string {
  return join(dataDir, 'encryption.keys');
}
