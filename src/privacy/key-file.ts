import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '../folder.ts';

/** A fresh `ENCRYPTION_KEYS` value with one key of 32 random bytes; its id says when it was made. */
export function makeKeys(now: Date): string {
  return `k${now.toISOString().slice(0, 10).replaceAll('-', '')}:${randomBytes(32).toString('base64')}`;
}

/**
 * The keys a program without `ENCRYPTION_KEYS` uses (never in production): made on first use, in a file only
 * its owner may read. Two first starts at once end with the same keys, since linking a file to a name that is
 * taken fails.
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

/** What `makeKeyFile` has made there; undefined where it has not. */
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
