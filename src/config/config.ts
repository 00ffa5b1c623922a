import type { Mailbox } from '../address.ts';
import type { CaptchaKind } from '../captcha/kinds.ts';
import type { Secret } from '../secret.ts';
import { type VariableName, variable } from './variables.ts';

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

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

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
