import type { ConfigFault, Environment } from './config.ts';
import { variable, variableNames } from './variables.ts';

/** Reads the secret `NAME` from the file in `NAME_FILE` (systemd's `LoadCredential`, Docker's secrets), unless `NAME` is set. */
export function withSecretFiles(
  env: Environment,
  readFile: (path: string) => string,
): { values: Environment; faults: ConfigFault[] } {
  const found: Record<string, string> = {};
  const faults: ConfigFault[] = [];
  for (const name of variableNames) {
    const path = env[`${name}_FILE`];
    if (!variable(name).secret || path === undefined || path === '' || env[name]?.trim()) continue;
    try {
      // A space at the start or end may be a part of the secret: `config check` warns about it.
      found[name] = readFile(path).replace(/\n+$/, '');
    } catch (error) {
      const reason = (error as Error).message;
      faults.push({ variable: name, wrong: `is missing: ${name}_FILE names ${path}, which cannot be read: ${reason}` });
    }
  }
  return { values: { ...env, ...found }, faults };
}
