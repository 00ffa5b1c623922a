import type { Mailbox } from '../address.ts';
import type { CaptchaKind } from '../captcha/kinds.ts';
import type { Secret } from '../secret.ts';
import type { HookKind, Language } from '../words.ts';
import { type VariableName, variable } from './variables.ts';

/** All settings. Read once, never changed. */
export interface Config {
  readonly production: boolean;
  readonly host: string;
  readonly port: number;
  /** An origin with an optional path, without a final slash. */
  readonly publicUrl: string;
  /** Whether `PUBLIC_URL` is set. Without it, links work on this machine at most. */
  readonly hasPublicUrl: boolean;
  /** A PostgreSQL URL, or `embedded`. */
  readonly databaseUrl: Secret;
  readonly dataDir: string;
  readonly smtp: SmtpConfig | undefined;
  readonly mailFrom: Mailbox;
  readonly notifyTo: readonly string[];
  readonly autoReply: boolean;
  /** Whether summaries of held messages show name, address and the beginning of the text. */
  readonly heldExcerpt: boolean;
  readonly captcha: CaptchaConfig;
  /** In lower case; IPv6 addresses without brackets. */
  readonly allowedHosts: readonly string[];
  /** Exact origins, including that of `publicUrl`. */
  readonly allowedOrigins: readonly string[];
  /** Whether pages of any web server on this machine may post too. */
  readonly loopbackOrigins: boolean;
  /** Like `allowedHosts`: hooks at these hosts may be inside and use http. */
  readonly hookAllowHosts: readonly string[];
  /** The number of proxies in front of this server. */
  readonly trustProxy: number;
  /** Undefined for no limits. */
  readonly rateLimit: RateLimit | undefined;
  /** Undefined if each server counts alone. */
  readonly redisUrl: Secret | undefined;
  /** Undefined if the keys are in a file in the data folder. */
  readonly encryptionKeys: Secret<readonly KeyConfig[]> | undefined;
  /** 0 to keep messages for ever. */
  readonly retentionDays: number;
  /** Of times in mails and on pages. */
  readonly timeZone: string;
  readonly language: Language;
  /** To check the DNS records of the From domain. */
  readonly dkimSelector: string | undefined;
  readonly dnsServer: string | undefined;
  readonly metricsToken: Secret | undefined;
  /** Where the operator is told that mail is in trouble. */
  readonly alertUrl: Secret<{ kind: Exclude<HookKind, 'webhook'>; url: string }> | undefined;
  readonly alertTo: string | undefined;
  readonly log: {
    readonly level: (typeof logLevels)[number];
    /** Undefined for `pretty` on a terminal, else `json`. */
    readonly format: 'json' | 'pretty' | undefined;
  };
  /** Shown at the start, by `config check` and by `health`. */
  readonly warnings: readonly ConfigWarning[];
}

export interface SmtpConfig {
  readonly host: string;
  readonly port: number;
  readonly user: string | undefined;
  readonly password: Secret | undefined;
  /** Max simultaneous connections of each process. */
  readonly connections: number;
  /** Undefined for the default of `helloNameFor`. */
  readonly hello: string | undefined;
}

export interface CaptchaConfig {
  readonly kind: CaptchaKind;
  readonly siteKey: string | undefined;
  readonly secret: Secret | undefined;
  readonly verifyUrl: string | undefined;
}

export interface RateLimit {
  /** Max stored posts per client address in one window. */
  readonly posts: number;
  readonly windowMs: number;
}

export interface KeyConfig {
  readonly id: string;
  /** 32 bytes. */
  readonly secret: Uint8Array;
}

export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

export interface ConfigFault {
  variable: VariableName;
  /** Completes the sentence "NAME …". */
  wrong: string;
}

/** A setting that works and should be changed. */
export interface ConfigWarning extends ConfigFault {
  /** Completes the sentence "To fix it, …". */
  fix: string;
}

/** The program cannot start with this environment. Lists every fault. */
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
