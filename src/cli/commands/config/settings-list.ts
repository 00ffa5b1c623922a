import { type VariableName, variable, variableNames } from '../../../config/variables.ts';
import type { SettingSource, Settings } from '../../terminal/deps.ts';

/** One setting as `config show` tells of it. */
export interface SettingView {
  name: string;
  /** What it is set to, masked where it is secret; null where it is not set. */
  value: string | null;
  /** What is used without it, in words. */
  fallback: string;
  source: SettingSource;
  secret: boolean;
}

export function listSettings(settings: Settings, reveal: boolean): SettingView[] {
  return variableNames.map((name) => {
    const { secret = false, fallback } = variable(name);
    const set = settings.values[name]?.trim();
    const source = set ? settings.sourceOf(name) : 'default';
    const value = !set ? null : secret && !reveal ? maskSecret(name, set) : set;
    return { name, value, fallback: fallback.replaceAll('`', ''), source, secret };
  });
}

/** What the file sets and this program does not read, as a name that was misspelt. */
export function listUnknown({ values, sourceOf }: Settings): string[] {
  const known = new Set(variableNames.flatMap((name) => (variable(name).secret ? [name, `${name}_FILE`] : [name])));
  return Object.keys(values).filter((name) => sourceOf(name) === '.env' && !known.has(name));
}

/** Of a database only the password is hidden, of keys only the keys: what they are called helps to find a fault. */
function maskSecret(name: VariableName, value: string): string {
  if (name === 'DATABASE_URL') {
    if (value === 'embedded') return value;
    const url = URL.parse(value);
    if (!url?.protocol.startsWith('postgres')) return '***';
    if (url.password !== '') url.password = '***';
    // A parameter that is a fault may be a password as well.
    for (const name of new Set(url.searchParams.keys())) {
      if (name !== 'sslmode' && name !== 'sslrootcert') url.searchParams.set(name, '***');
    }
    return url.href;
  }
  if (name !== 'ENCRYPTION_KEYS') return '***';
  const keys = value.split(',').map((part) => /^\s*([\w-]{1,32}):/.exec(part)?.[1]);
  return keys.map((id) => (id === undefined ? '***' : `${id}:***`)).join(',');
}
