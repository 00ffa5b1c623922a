import type { Environment } from './config.ts';
import { variable, variableNames } from './variables.ts';

/**
 * Puts the content of the file named by `NAME_FILE` in the place of the secret `NAME` (systemd's
 * `LoadCredential`, Docker's secrets). A variable that is set itself wins.
 *
 * @throws {SecretFileUnreadable} naming the variable and the file.
 */
export function withSecretFiles(env: Environment, readFile: (path: string) => string): Environment {
  const found: Record<string, string> = {};
  for (const name of variableNames) {
    const path = env[`${name}_FILE`];
    if (!variable(name).secret || path === undefined || path === '' || env[name]) continue;
    try {
      found[name] = readFile(path).trim();
    } catch (error) {
      throw new SecretFileUnreadable(`${name}_FILE names ${path}, which cannot be read: ${(error as Error).message}`);
    }
  }
  return { ...env, ...found };
}

export class SecretFileUnreadable extends Error {
  override readonly name = 'SecretFileUnreadable';
}
