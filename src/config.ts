import * as z from 'zod';
import { type Mailbox, readMailbox } from './address.ts';
import { type CaptchaKind, captchaKinds } from './captcha-kinds.ts';
import { bareHost, hostList, loopbackNames, originList, proxyCount, rateLimit } from './config-callers.ts';
import {
  addressList,
  connectionCount,
  databaseUrl,
  dayCount,
  dkimSelector,
  dnsName,
  dnsServer,
  hostName,
  keyList,
  mailbox,
  oneOf,
  onOrOff,
  portNumber,
  redisUrl,
  secretText,
  tokenText,
  webAddress,
} from './config-values.ts';
import { Secret } from './secret.ts';
import { type VariableName, variable, variableNames } from './variables.ts';

/** Everything the environment decides, read once and never changed. */
export interface Config {
  readonly production: boolean;
  readonly host: string;
  readonly port: number;
  /** An origin with an optional path, without a slash at its end. */
  readonly publicUrl: string;
  /** A PostgreSQL URL, or `embedded`. */
  readonly databaseUrl: Secret;
  readonly dataDir: string;
  readonly smtp: SmtpConfig | undefined;
  readonly mailFrom: Mailbox;
  readonly notifyTo: readonly string[];
  readonly autoReply: boolean;
  readonly captcha: CaptchaConfig;
  /** In lower case, IPv6 addresses without brackets. */
  readonly allowedHosts: readonly string[];
  /** Exact origins; that of `publicUrl` is always among them. */
  readonly allowedOrigins: readonly string[];
  /** Whether the pages of any web server on this machine may post as well. */
  readonly loopbackOrigins: boolean;
  /** How many proxies stand in front. */
  readonly trustProxy: number;
  /** Undefined: no limits. */
  readonly rateLimit: RateLimit | undefined;
  /** Undefined: each server counts for itself. */
  readonly redisUrl: Secret | undefined;
  /** Undefined: keys are kept in a file in the data folder. */
  readonly encryptionKeys: Secret<readonly KeyConfig[]> | undefined;
  /** 0: for ever. */
  readonly retentionDays: number;
  /** For looking at the From domain. */
  readonly dkimSelector: string | undefined;
  readonly dnsServer: string | undefined;
  readonly metricsToken: Secret | undefined;
  readonly log: LogConfig;
}

export interface SmtpConfig {
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
  readonly password: Secret | undefined;
  /** Of each process, at the same time. */
  readonly connections: number;
  /** Undefined: see `helloNameFor`. */
  readonly hello: string | undefined;
}

export interface CaptchaConfig {
  readonly kind: CaptchaKind;
  readonly siteKey: string | undefined;
  readonly secret: Secret | undefined;
  readonly verifyUrl: string | undefined;
}

export interface RateLimit {
  /** Stored posts per client address … */
  readonly posts: number;
  /** … within this time, in milliseconds. */
  readonly windowMs: number;
}

export interface KeyConfig {
  readonly id: string;
  /** 32 bytes. */
  readonly secret: Uint8Array;
}

export interface LogConfig {
  readonly level: (typeof logLevels)[number];
  /** Undefined: by terminal. */
  readonly format: 'json' | 'pretty' | undefined;
}

const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

export interface ConfigFault {
  variable: VariableName;
  /** What is wrong, as the end of the sentence "NAME …". */
  wrong: string;
}

/** The environment is not one this program can start with. Lists every fault. */
export class ConfigFaulty extends Error {
  override readonly name = 'ConfigFaulty';
  readonly faults: readonly ConfigFault[];

  constructor(faults: readonly ConfigFault[]) {
    const lines = faults.map((it) => `  ${it.variable} ${it.wrong} (example: ${variable(it.variable).example})`);
    super(`the configuration is wrong:\n${lines.join('\n')}`);
    this.faults = faults;
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * @param unread variables that are set and could not be read; they are named with the others, and not as missing.
 * @throws {ConfigFaulty} naming every variable that is missing or wrong.
 */
export function readConfig(env: Environment, unread: readonly ConfigFault[] = []): Config {
  const faults: ConfigFault[] = [];

  function read<T>(name: VariableName, schema: z.ZodType<T>, fallback: T): T {
    const text = env[name]?.trim();
    if (text === undefined || text === '') {
      if (production && variable(name).production) faults.push({ variable: name, wrong: 'is required in production' });
      return fallback;
    }
    const parsed = schema.safeParse(text);
    if (parsed.success) return parsed.data;
    faults.push({ variable: name, wrong: parsed.error.issues[0]?.message ?? 'is not valid' });
    return fallback;
  }

  function readCaptcha(): CaptchaConfig {
    const kind = read<CaptchaKind>('CAPTCHA', oneOf(...captchaKinds), 'none');
    const captcha = {
      kind,
      siteKey: read<string | undefined>('CAPTCHA_SITE_KEY', z.string(), undefined),
      secret: read<Secret | undefined>('CAPTCHA_SECRET', secretText(), undefined),
      verifyUrl: read<string | undefined>('CAPTCHA_VERIFY_URL', webAddress(), undefined),
    };
    if (kind !== 'none' && kind !== 'altcha') {
      if (!captcha.secret) faults.push({ variable: 'CAPTCHA_SECRET', wrong: `is missing, while CAPTCHA is ${kind}` });
      if (!captcha.siteKey)
        faults.push({ variable: 'CAPTCHA_SITE_KEY', wrong: `is missing, while CAPTCHA is ${kind}` });
    }
    return captcha;
  }

  const production = env.NODE_ENV === 'production';
  read('NODE_ENV', oneOf('production', 'development', 'test'), 'development');
  const port = read('PORT', portNumber(0), 3000);
  const smtpHost = read<string | undefined>('SMTP_HOST', hostName(), undefined);
  const smtpUser = read<string | undefined>('SMTP_USER', z.string(), undefined);
  const smtpPort = read('SMTP_PORT', portNumber(1), 465);
  const smtpPassword = read<Secret | undefined>('SMTP_PASSWORD', secretText(), undefined);
  const smtpConnections = read('SMTP_CONNECTIONS', connectionCount(), 10);
  const smtpHello = read<string | undefined>('SMTP_HELLO', dnsName(), undefined);
  if (smtpUser !== undefined && !env.SMTP_PASSWORD?.trim() && !unread.some((it) => it.variable === 'SMTP_PASSWORD')) {
    faults.push({ variable: 'SMTP_PASSWORD', wrong: 'is missing, while SMTP_USER is set' });
  }

  const mailFromOfUser = smtpUser === undefined ? undefined : readMailbox(smtpUser);
  // An SMTP_USER that is an address stands in for MAIL_FROM, also where that is required.
  const mailFrom =
    mailFromOfUser !== undefined && !env.MAIL_FROM?.trim()
      ? mailFromOfUser
      : read<Mailbox>('MAIL_FROM', mailbox(), { address: 'ruffinweb@localhost' });
  if (smtpHost !== undefined && !production && mailFromOfUser === undefined && !env.MAIL_FROM?.trim()) {
    faults.push({ variable: 'MAIL_FROM', wrong: 'is missing, while SMTP_HOST is set and SMTP_USER is not an address' });
  }

  // A mail server of the world knows no owner@localhost; one on this machine, as in development, takes anything.
  if (smtpHost !== undefined && !loopbackNames.includes(smtpHost) && !production && !env.NOTIFY_TO?.trim()) {
    faults.push({
      variable: 'NOTIFY_TO',
      wrong: 'is missing, while SMTP_HOST is set: nobody would be told of a message',
    });
  }

  const publicUrl = read('PUBLIC_URL', webAddress(), `http://localhost:${port}`);
  const allowedOrigins = read<readonly string[] | undefined>('ALLOWED_ORIGINS', originList(), undefined);

  const config: Config = {
    production,
    host: read('HOST', hostName(), '127.0.0.1'),
    port,
    publicUrl,
    databaseUrl: read('DATABASE_URL', databaseUrl(), new Secret('embedded')),
    dataDir: read('DATA_DIR', z.string(), './data'),
    smtp:
      smtpHost === undefined
        ? undefined
        : {
            host: smtpHost,
            port: smtpPort,
            user: smtpUser,
            password: smtpPassword,
            connections: smtpConnections,
            hello: smtpHello,
          },
    mailFrom,
    notifyTo: read('NOTIFY_TO', addressList(), ['owner@localhost']),
    captcha: readCaptcha(),
    autoReply: read('AUTO_REPLY', onOrOff(), true),
    allowedHosts: read('ALLOWED_HOSTS', hostList(), [bareHost(new URL(publicUrl).hostname), ...loopbackNames]),
    allowedOrigins: [new URL(publicUrl).origin, ...(allowedOrigins ?? [])],
    loopbackOrigins: !production && allowedOrigins === undefined,
    trustProxy: read('TRUST_PROXY', proxyCount(), 0),
    rateLimit: read<RateLimit | undefined>('RATE_LIMIT', rateLimit(), { posts: 10, windowMs: 60_000 }),
    redisUrl: read<Secret | undefined>('REDIS_URL', redisUrl(), undefined),
    encryptionKeys: read<Config['encryptionKeys']>('ENCRYPTION_KEYS', keyList(), undefined),
    retentionDays: read('RETENTION_DAYS', dayCount(), 0),
    dkimSelector: read<string | undefined>('DKIM_SELECTOR', dkimSelector(), undefined),
    dnsServer: read<string | undefined>('DNS_SERVER', dnsServer(), undefined),
    metricsToken: read<Secret | undefined>('METRICS_TOKEN', tokenText(), undefined),
    log: {
      level: read('LOG_LEVEL', oneOf(...logLevels), 'info'),
      format: read<LogConfig['format']>('LOG_FORMAT', oneOf('json', 'pretty'), undefined),
    },
  };
  const others = faults.filter((it) => !unread.some(({ variable }) => variable === it.variable));
  if (others.length + unread.length > 0) throw new ConfigFaulty(inOrder([...unread, ...others]));
  return Object.freeze(config);
}

function inOrder(faults: ConfigFault[]): ConfigFault[] {
  return faults.toSorted((a, b) => variableNames.indexOf(a.variable) - variableNames.indexOf(b.variable));
}
