import { formatMailbox } from '../../../address.ts';
import { databaseUrl } from '../../../config/values.ts';
import { type VariableName, variable, variableNames } from '../../../config/variables.ts';
import type { SettingSource, Settings } from '../../terminal/deps.ts';

/** One setting in `config show`. */
export interface SettingView {
  name: string;
  /** The value in force, masked if it is secret; null if there is none. */
  value: string | null;
  /** The default in words. */
  fallback: string;
  source: SettingSource;
  secret: boolean;
}

/** Lists every setting with the value in force. With a faulty setting, defaults are shown only in words. */
export async function listSettings(
  settings: Settings,
  options: { reveal: boolean; isTerminal: boolean },
): Promise<SettingView[]> {
  const defaults = await defaultsInForce(settings, options.isTerminal);
  return variableNames.map((name) => {
    const { secret = false, fallback } = variable(name);
    const set = settings.values[name]?.trim();
    const source = set ? settings.sourceOf(name) : 'default';
    const shown = set && secret && !options.reveal ? maskSecret(name, set) : set;
    return { name, value: shown || (defaults[name] ?? null), fallback: fallback.replaceAll('`', ''), source, secret };
  });
}

/** The value of each setting that is not set; settings that have no value then are left out. */
async function defaultsInForce(
  { values, faults }: Settings,
  isTerminal: boolean,
): Promise<Partial<Record<VariableName, string>>> {
  const [{ readConfig }, { ConfigFaulty }, { helloNameOf }] = await Promise.all([
    import('../../../config/read-config.ts'),
    import('../../../config/config.ts'),
    import('../../../mailing-context.ts'),
  ]);
  try {
    const config = readConfig(values, faults);
    const { mailFrom, allowedOrigins, loopbackOrigins } = config;
    return {
      NODE_ENV: 'development',
      HOST: config.host,
      PORT: String(config.port),
      PUBLIC_URL: config.publicUrl,
      DATABASE_URL: 'embedded',
      DATA_DIR: config.dataDir,
      SMTP_PORT: '465',
      SMTP_CONNECTIONS: '10',
      ...(config.smtp && { SMTP_HELLO: await helloNameOf(config) }),
      MAIL_FROM: formatMailbox(mailFrom),
      NOTIFY_TO: config.notifyTo.join(', '),
      AUTO_REPLY: 'on',
      HELD_EXCERPT: 'on',
      CAPTCHA: config.captcha.kind,
      ALLOWED_HOSTS: [...new Set(config.allowedHosts)].join(', '),
      ALLOWED_ORIGINS: [...allowedOrigins, ...(loopbackOrigins ? ['any loopback origin'] : [])].join(', '),
      TRUST_PROXY: '0',
      RATE_LIMIT: '10/1m',
      RETENTION_DAYS: '0',
      TIME_ZONE: config.timeZone,
      LOG_LEVEL: config.log.level,
      LOG_FORMAT: isTerminal ? 'pretty' : 'json',
    };
  } catch (error) {
    if (error instanceof ConfigFaulty) return {};
    throw error;
  }
}

/** Names in the settings file that this program does not know, perhaps misspelt. */
export function listUnknown({ values, sourceOf }: Settings): string[] {
  const known = new Set(variableNames.flatMap((name) => (variable(name).secret ? [name, `${name}_FILE`] : [name])));
  return Object.keys(values).filter((name) => sourceOf(name) === '.env' && !known.has(name));
}

/** A space that somebody put into quotes may be meant. */
export function listTrimmed({ values }: Settings): string[] {
  return variableNames
    .filter((name) => values[name] !== values[name]?.trim())
    .map((name) => `${name} has spaces at its start or end, which are left out`);
}

/** Hides the password in a database URL, and keys but not their names, which help to find mistakes. */
function maskSecret(name: VariableName, value: string): string {
  if (name === 'DATABASE_URL') {
    if (value === 'embedded') return value;
    // In one with a mistake the password may be anywhere.
    const url = databaseUrl.safeParse(value).success ? URL.parse(value) : null;
    if (url === null || url.pathname.includes('@')) return '***';
    if (url.password !== '') url.password = '***';
    return url.href;
  }
  if (name !== 'ENCRYPTION_KEYS') return '***';
  const keys = value.split(',').map((part) => /^\s*([\w-]{1,32}):/.exec(part)?.[1]);
  return keys.map((id) => (id === undefined ? '***' : `${id}:***`)).join(',');
}
