import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { makeFolder, writeOnce } from '../folder.ts';
import { readTextFile } from '../text-file.ts';

/** A new `ENCRYPTION_KEYS` value with one random key. Its id is the time: a database remembers the ids of all keys it ever had. */
export function makeKeys(now: Date): string {
  const [day, time] = now.toISOString().replaceAll(/[-:]/g, '').split(/[T.]/);
  return `k${day}-${time}:${randomBytes(32).toString('base64')}`;
}

/** Makes the key file for a program without `ENCRYPTION_KEYS` (never in production), or reads one made meanwhile. */
export function makeKeyFile(dataDir: string, now: Date): string {
  makeFolder(dataDir);
  writeOnce(keyFile(dataDir), `${makeKeys(now)}\n`);
  return readTextFile(keyFile(dataDir)).trim();
}

/** @returns undefined if there is no key file. */
export function readKeyFile(dataDir: string): string | undefined {
  try {
    return readTextFile(keyFile(dataDir)).trim();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export function keyFile(dataDir: string): string {
  return join(dataDir, 'encryption.keys');
}
