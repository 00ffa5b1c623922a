import type { EntityManager } from '@mikro-orm/postgresql';
import type { Config } from '../../config/config.ts';
import type { Templates } from '../../mail/compose/templates.ts';
import type { Mailer } from '../../mail/mailer.ts';
import type { ConfiguredKey } from '../../privacy/keyring-check.ts';
import type { Advice } from '../../words.ts';

export type HealthStatus = 'ok' | 'warn' | 'fail';

/** What a check found. */
export interface Finding {
  status: HealthStatus;
  fact: string;
  /** What to do about it; null if there is nothing to do, or only the advice. */
  fix: string | null;
  /** Names a command that helps. It is shown after the fix, if there is one. */
  advice?: Advice;
}

export interface HealthCheck extends Finding {
  name: string;
}

/** What the checks look at. A part that could not be opened throws the reason when it is called. */
export interface HealthParts {
  config: Config;
  now: () => Date;
  database: () => EntityManager;
  /** The configured keys; undefined before the first start. */
  keys: () => readonly ConfiguredKey[] | undefined;
  /** Files that secrets were read from. */
  secretFiles: readonly string[];
  templates: () => Templates;
  mailer: () => Mailer;
  /** Asks the Redis that shares limits; undefined if none is configured. */
  redis: (() => Promise<{ version: string; tookMs: number }>) | undefined;
  /** Explains an error to the operator. */
  explain: (error: unknown) => string;
}

export function good(fact: string): Finding {
  return { status: 'ok', fact, fix: null };
}

export function bad(status: 'warn' | 'fail', fact: string, fix: string | null, advice?: Advice): Finding {
  return { status, fact, fix, ...(advice && { advice }) };
}
