import { randomUUID } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/**
 * Creates a folder that only its owner can read, and its missing parents. Does not change an existing folder. Node's
 * `recursive` option would never return if a parent exists and the system still reports ENOENT, as in /proc.
 */
export function makeFolder(path: string): void {
  const whole = resolve(path);
  if (existsSync(whole) && statSync(whole).isDirectory()) return;
  if (!existsSync(dirname(whole))) makeFolder(dirname(whole));
  try {
    mkdirSync(whole, { mode: 0o700 });
  } catch (error) {
    // Another process may have created it meanwhile.
    if (!statSync(whole, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
}

/**
 * Writes a file that only its owner can read, unless it exists. Its content is complete before its name appears, even if
 * the machine crashes or two processes write it at once.
 */
export function writeOnce(path: string, content: string): void {
  const draft = `${path}.${randomUUID()}`;
  try {
    writeFileSync(draft, content, { mode: 0o600, flag: 'wx', flush: true });
    linkSync(draft, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}
