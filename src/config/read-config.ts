import * as z from 'zod';
import { type Mailbox, readMailbox } from '../address.ts';
import { type CaptchaKind, captchaKinds } from '../captcha/kinds.ts';
import { Secret } from '../secret.ts';
import {
  type CaptchaConfig,
  type Config,
  type ConfigFault,
  ConfigFaulty,
  type Environment,
  type LogConfig,
  logLevels,
  type RateLimit,
} from './config.ts';
import { bareHost, hostList, loopbackNames, originList, proxyCount, rateLimit } from './hosts-and-limits.ts';
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
} from './values.ts';
import { type VariableName, variable, variableNames } from './variables.ts';

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
      wrong: 'is missing, while SMTP_HOST is set: nobody would be told about a message',
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
