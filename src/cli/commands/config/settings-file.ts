import { renameSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseEnvFile } from '../../../config/env-file.ts';
import { variable, variableNames } from '../../../config/variables.ts';
import { makeKeys } from '../../../privacy/key-file.ts';
import { readTextFile } from '../../../text-file.ts';
import { Refusal } from '../../terminal/confirm.ts';

export interface WrittenSettings {
  path: string;
  /** The new path of the file that was there before. */
  replaced: string | null;
  /** `fresh`, or the file that had the keys. */
  keysFrom: string;
}

/**
 * Writes a first settings file that only its owner can read. It keeps keys that are in use: with fresh ones, stored data
 * could not be decrypted.
 *
 * @throws {Refusal} if the file exists and `force` is false.
 */
export function writeSettingsFile(
  file: string,
  { dataDir, force, now }: { dataDir: string; force: boolean; now: Date },
): WrittenSettings {
  const path = resolve(file);
  const before = readIfPresent(path);
  if (before !== undefined && !force) {
    throw new Refusal(`${path} exists already: add --force to replace it (its keys are kept)`);
  }
  const keyFile = resolve(join(dataDir, 'encryption.keys'));
  const [keys, keysFrom] = findKeys(
    [path, before === undefined ? undefined : parseEnvFile(path, before).values.ENCRYPTION_KEYS],
    [keyFile, readIfPresent(keyFile)],
  ) ?? [makeKeys(now), 'fresh'];

  const replaced = before === undefined ? null : `${path}.${now.toISOString().replace(/\D/g, '').slice(0, 14)}`;
  if (replaced !== null) renameSync(path, replaced);
  try {
    writeFileSync(path, formatSettings(keys), { flag: 'wx', mode: 0o600, flush: true });
  } catch (error) {
    if (replaced !== null) renameSync(replaced, path);
    throw error;
  }
  return { path, replaced, keysFrom };
}

function findKeys(...places: [file: string, keys: string | undefined][]): [keys: string, file: string] | undefined {
  for (const [file, keys] of places) if (keys?.trim()) return [keys.trim(), file];
  return undefined;
}

function formatSettings(keys: string): string {
  const settings = variableNames.map((name) => {
    const { meaning, fallback, example, production } = variable(name);
    const notes = [
      `# ${meaning.replaceAll('`', '')}`,
      ...(fallback === '' ? [] : [`# Without it: ${fallback.replaceAll('`', '')}`]),
      ...(production ? ['# Required with NODE_ENV=production'] : []),
    ];
    if (name !== 'ENCRYPTION_KEYS') return [...notes, `#${name}=${example}`].join('\n');
    return [
      ...notes,
      '# Keep a copy in a safe place: a lost key is lost data.',
      '# Keep it apart from the backups of the database: together they open every message.',
      `${name}=${keys}`,
    ].join('\n');
  });
  return `# Settings of ruffinweb. The environment wins over this file.\n\n${settings.join('\n\n')}\n`;
}

function readIfPresent(file: string): string | undefined {
  try {
    return readTextFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
