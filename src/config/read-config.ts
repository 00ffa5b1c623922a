import * as z from 'zod';
import { type Mailbox, readMailbox } from '../address.ts';
import { captchaKinds } from '../captcha/kinds.ts';
import { bareHost } from '../hooks/hook-url.ts';
import { isLoopback } from '../network/ip-network.ts';
import { Secret } from '../secret.ts';
import { languages } from '../words.ts';
import { alertUrl } from './alert-url.ts';
import {
  type CaptchaConfig,
  type Config,
  type ConfigFault,
  ConfigFaulty,
  type Environment,
  logLevels,
  type SmtpConfig,
} from './config.ts';
import { hostList, loopbackNames, originList, rateLimit } from './hosts-and-limits.ts';
import * as value from './values.ts';
import { type VariableName, variable, variableNames } from './variables.ts';
import { findWarnings } from './warnings.ts';

/**
 * @param unread variables whose secret file could not be read. They are reported with the other faults.
 * @throws {ConfigFaulty} with every variable that is missing or wrong.
 */
export function readConfig(env: Environment, unread: readonly ConfigFault[] = []): Config {
  const reader = new Reader(env, unread);
  const { production } = reader;
  reader.read('NODE_ENV', value.oneOf('production', 'development', 'test'), 'development');
  const port = reader.read('PORT', value.wholeNumber(0, 65_535), 3000);
  const publicUrl = reader.read('PUBLIC_URL', value.webAddress, `http://localhost:${port}`);
  const { hostname, origin } = new URL(publicUrl);
  const hookAllowHosts = reader.read('HOOK_ALLOW_HOSTS', hostList, []);
  const origins = reader.read('ALLOWED_ORIGINS', originList, undefined);

  const settings: Omit<Config, 'warnings'> = {
    production,
    host: reader.read('HOST', value.hostName, '127.0.0.1'),
    port,
    publicUrl,
    hasPublicUrl: reader.has('PUBLIC_URL'),
    databaseUrl: reader.read('DATABASE_URL', value.databaseUrl, new Secret('embedded')),
    dataDir: reader.read('DATA_DIR', z.string(), './data'),
    ...readMailSettings(reader),
    captcha: readCaptcha(reader),
    allowedHosts: reader.read('ALLOWED_HOSTS', hostList, [bareHost(hostname), ...loopbackNames]),
    allowedOrigins: [origin, ...(origins ?? [])],
    loopbackOrigins: !production && origins === undefined,
    hookAllowHosts,
    trustProxy: reader.read('TRUST_PROXY', value.wholeNumber(0, 10), 0),
    rateLimit: reader.read('RATE_LIMIT', rateLimit, { posts: 10, windowMs: 60_000 }),
    redisUrl: reader.read('REDIS_URL', value.redisUrl, undefined),
    encryptionKeys: reader.read('ENCRYPTION_KEYS', production ? value.productionKeyList : value.keyList, undefined),
    retentionDays: reader.read('RETENTION_DAYS', value.dayCount, 0),
    timeZone: reader.read('TIME_ZONE', value.timeZone, 'UTC'),
    language: reader.read('LANGUAGE', value.oneOf(...languages), 'en'),
    dkimSelector: reader.read('DKIM_SELECTOR', value.dkimSelector, undefined),
    dnsServer: reader.read('DNS_SERVER', value.dnsServer, undefined),
    metricsToken: reader.read('METRICS_TOKEN', value.tokenText, undefined),
    alertUrl: reader.read('ALERT_URL', alertUrl(hookAllowHosts), undefined),
    alertTo: reader.read('ALERT_TO', value.mailbox, undefined)?.address,
    log: {
      level: reader.read('LOG_LEVEL', value.oneOf(...logLevels), 'info'),
      format: reader.read('LOG_FORMAT', value.oneOf('json', 'pretty'), undefined),
    },
  };
  reader.throwFaults();
  return Object.freeze({ ...settings, warnings: findWarnings(settings) });
}

function readMailSettings(
  reader: Reader,
): Pick<Config, 'smtp' | 'mailFrom' | 'notifyTo' | 'autoReply' | 'heldExcerpt'> {
  const smtp = readSmtp(reader);
  const notifyTo = reader.read('NOTIFY_TO', value.addressList, ['owner@localhost']);
  // Only a mail server on this machine, as in development, may know owner@localhost.
  if (smtp.host !== undefined && !isLoopback(smtp.host)) {
    reader.require('NOTIFY_TO', 'is missing, while SMTP_HOST is set: nobody would be notified about messages');
  }
  return {
    smtp: smtp.host === undefined ? undefined : { ...smtp, host: smtp.host },
    mailFrom: readMailFrom(reader, smtp),
    notifyTo,
    autoReply: reader.read('AUTO_REPLY', value.onOrOff, true),
    heldExcerpt: reader.read('HELD_EXCERPT', value.onOrOff, true),
  };
}

type MaybeSmtp = Omit<SmtpConfig, 'host'> & { host: string | undefined };

function readSmtp(reader: Reader): MaybeSmtp {
  const smtp = {
    host: reader.read('SMTP_HOST', value.hostName, undefined),
    port: reader.read('SMTP_PORT', value.wholeNumber(1, 65_535), 465),
    user: reader.read('SMTP_USER', z.string(), undefined),
    password: reader.read('SMTP_PASSWORD', value.secretText, undefined),
    connections: reader.read('SMTP_CONNECTIONS', value.wholeNumber(1, 50), 10),
    hello: reader.read('SMTP_HELLO', value.dnsName, undefined),
  };
  if (smtp.user !== undefined) reader.require('SMTP_PASSWORD', 'is missing, while SMTP_USER is set');
  return smtp;
}

/** If `SMTP_USER` is an address, it is the default, also in production. */
function readMailFrom(reader: Reader, { host, user }: MaybeSmtp): Mailbox {
  const userMailbox = readMailbox(user ?? '');
  if (userMailbox !== undefined && !reader.has('MAIL_FROM')) return userMailbox;
  const mailFrom = reader.read('MAIL_FROM', value.mailbox, { address: 'ruffinweb@localhost' });
  if (host !== undefined) {
    reader.require('MAIL_FROM', 'is missing, while SMTP_HOST is set and SMTP_USER is not an address');
  }
  return mailFrom;
}

function readCaptcha(reader: Reader): CaptchaConfig {
  const captcha = {
    kind: reader.read('CAPTCHA', value.oneOf(...captchaKinds), 'none'),
    siteKey: reader.read('CAPTCHA_SITE_KEY', z.string(), undefined),
    secret: reader.read('CAPTCHA_SECRET', value.secretText, undefined),
    verifyUrl: reader.read('CAPTCHA_VERIFY_URL', value.webAddress, undefined),
  };
  if (captcha.kind !== 'none' && captcha.kind !== 'altcha') {
    reader.require('CAPTCHA_SECRET', `is missing, while CAPTCHA is ${captcha.kind}`);
    reader.require('CAPTCHA_SITE_KEY', `is missing, while CAPTCHA is ${captcha.kind}`);
  }
  return captcha;
}

/** Reads variables and collects what is wrong: at most one fault for each. */
class Reader {
  readonly production: boolean;
  readonly #env: Environment;
  readonly #faults: Map<VariableName, ConfigFault>;

  constructor(env: Environment, unread: readonly ConfigFault[]) {
    this.production = env.NODE_ENV === 'production';
    this.#env = env;
    this.#faults = new Map(unread.map((fault) => [fault.variable, fault]));
  }

  has(name: VariableName): boolean {
    return Boolean(this.#env[name]?.trim());
  }

  read<T, Default>(name: VariableName, schema: z.ZodType<T>, fallback: Default): T | Default {
    if (!this.has(name)) {
      if (this.production && variable(name).production) this.#fault(name, 'is required in production');
      return fallback;
    }
    const parsed = schema.safeParse(this.#env[name]?.trim());
    if (parsed.success) return parsed.data;
    this.#fault(name, parsed.error.issues[0]?.message ?? 'is not valid');
    return fallback;
  }

  require(name: VariableName, wrong: string): void {
    if (!this.has(name)) this.#fault(name, wrong);
  }

  throwFaults(): void {
    const faults = variableNames.flatMap((name) => this.#faults.get(name) ?? []);
    if (faults.length > 0) throw new ConfigFaulty(faults);
  }

  #fault(variable: VariableName, wrong: string): void {
    if (!this.#faults.has(variable)) this.#faults.set(variable, { variable, wrong });
  }
}
