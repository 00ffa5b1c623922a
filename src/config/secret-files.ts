import type { ConfigFault, Environment } from './config.ts';
import { variable, variableNames } from './variables.ts';

export interface Filled {
  values: Environment;
  /** The secret files that could not be read. */
  faults: readonly ConfigFault[];
}

/**
 * Puts the content of the file named by `NAME_FILE` in the place of the secret `NAME` (systemd's
 * `LoadCredential`, Docker's secrets). A variable that is set itself wins.
 */
export function withSecretFiles(env: Environment, readFile: (path: string) => string): Filled {
  const found: Record<string, string> = {};
  const faults: ConfigFault[] = [];
  for (const name of variableNames) {
    const path = env[`${name}_FILE`];
    if (!variable(name).secret || path === undefined || path === '' || env[name]) continue;
    try {
      found[name] = readFile(path).trim();
    } catch (error) {
      const wrong = `cannot be had: ${name}_FILE names ${path}, which cannot be read: ${(error as Error).message}`;
      faults.push({ variable: name, wrong });
    }
  }
  return { values: { ...env, ...found }, faults };
}
