import type { EntityManager } from '@mikro-orm/postgresql';
import type { Captchas } from '../captcha/index.ts';
import type { Config } from '../config.ts';
import type { Context } from '../context.ts';
import type { Log } from '../log.ts';
import type { Keyring } from '../privacy/keyring.ts';

/** What one request, one command or one delivery may use. */
export interface Scope {
  readonly em: EntityManager;
  readonly log: Log;
  readonly now: () => Date;
  readonly keyring: Keyring;
  readonly captchas: Captchas;
  readonly config: Config;
}

/** A fresh entity manager and a log that carries `tags` on every line. */
export function openScope(context: Context, tags: Record<string, string> = {}): Scope {
  return {
    em: context.orm.em.fork(),
    log: context.log.child(tags),
    now: context.now,
    keyring: context.keyring,
    captchas: context.captchas,
    config: context.config,
  };
}
