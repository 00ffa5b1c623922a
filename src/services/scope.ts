import type { EntityManager } from '@mikro-orm/postgresql';
import type { Captchas } from '../captcha/index.ts';
import type { Config } from '../config.ts';
import type { Context } from '../context.ts';
import type { Log } from '../log.ts';
import type { Keyring } from '../privacy/keyring.ts';
import type { RememberedForms } from './forms.ts';
import type { StoreBatches } from './store-batches.ts';

/** What one request, one command or one delivery may use. */
export interface Scope {
  readonly em: EntityManager;
  readonly log: Log;
  readonly now: () => Date;
  readonly keyring: Keyring;
  readonly captchas: Captchas;
  readonly config: Config;
  /** Where many post at once, those who take their posts share these; a scope without them asks and stores for itself. */
  readonly forms?: RememberedForms;
  readonly batches?: StoreBatches;
}

/** What the requests to one server have in common. */
export type SharedByPosts = Required<Pick<Scope, 'forms' | 'batches'>>;

/** An entity manager of its own and a log that carries `tags` on every line, both made when they are asked for. */
export function openScope(context: Context, tags?: Record<string, string>, shared?: SharedByPosts): Scope {
  let em: EntityManager | undefined;
  let log: Log | undefined;
  return {
    ...shared,
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
