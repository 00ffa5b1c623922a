import type { EntityManager } from '@mikro-orm/postgresql';
import type { Captchas } from '../captcha/index.ts';
import type { Config } from '../config/config.ts';
import type { Context } from '../context.ts';
import type { Log } from '../log.ts';
import type { Keyring } from '../privacy/keyring.ts';

/** What one request, one command or one delivery uses. */
export interface Scope {
  readonly em: EntityManager;
  readonly log: Log;
  readonly now: () => Date;
  readonly keyring: Keyring;
  readonly captchas: Captchas;
  readonly config: Config;
}

/** Has its own entity manager, and a log with `tags` on every line. Both are made at first use. */
export function openScope(context: Context, tags?: Record<string, string>): Scope {
  let em: EntityManager | undefined;
  let log: Log | undefined;
  return {
    get em() {
      em ??= context.orm.em.fork();
      return em;
    },
    get log() {
      log ??= tags === undefined ? context.log : context.log.child(tags);
      return log;
    },
    now: context.now,
    keyring: context.keyring,
    captchas: context.captchas,
    config: context.config,
  };
}
