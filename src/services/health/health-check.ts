import type { EntityManager } from '@mikro-orm/postgresql';
import type { Config } from '../../config/config.ts';
import type { Templates } from '../../mail/compose/templates.ts';
import type { Mailer } from '../../mail/mailer.ts';
import type { ConfiguredKey } from '../../privacy/keyring-check.ts';
import type { Advice } from '../../words.ts';

export type HealthStatus = 'ok' | 'warn' | 'fail';

export interface HealthCheck {
  name:
    | 'database'
    | 'durability'
    | 'schema'
    | 'keys'
    | 'queue'
    | 'failed'
    | 'held'
    | 'retention'
    | 'templates'
    | 'mail'
    | 'disk'
    | 'redis'
    | 'clock'
    | 'proxies'
    | 'spf'
    | 'dkim'
    | 'dmarc'
    | 'mx'
    | 'smtp'
    | 'smtp-ports';
  status: HealthStatus;
  /** What the check found. */
  fact: string;
  /** What to do about it; null if there is nothing to do. */
  fix: string | null;
  /** What a command of the door could do about it, instead of the fix or after it. */
  advice?: Advice;
}

/** What the checks look at. A part that could not be opened throws the reason when it is called. */
export interface HealthParts {
  config: Config;
  now: () => Date;
  database: () => EntityManager;
  /** The configured keys; undefined before the first start. */
  keys: () => readonly ConfiguredKey[] | undefined;
  templates: () => Templates;
  mailer: () => Mailer;
  /** Asks the Redis that shares limits; undefined if none is configured. */
  redis: (() => Promise<{ version: string; tookMs: number }>) | undefined;
  /** Explains an error to the operator. */
  explain: (error: unknown) => string;
}

export function good(name: HealthCheck['name'], fact: string): HealthCheck {
  return { name, status: 'ok', fact, fix: null };
}
