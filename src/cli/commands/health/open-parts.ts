import type { EntityManager } from '@mikro-orm/postgresql';
import type { Config } from '../../../config/config.ts';
import { findKeys, openDatabaseContext } from '../../../context.ts';
import type { Log } from '../../../log.ts';
import { openMailer, openMailTemplates } from '../../../mailing-context.ts';
import { describeRedis } from '../../../redis.ts';
import type { HealthParts } from '../../../services/health/health-check.ts';
import { describeFailure } from '../../session/failures.ts';

/** Opens the parts that `health` checks, each alone, so that a broken one does not hide the others. */
export async function openHealthParts(
  config: Config,
  log: Log,
  secretFiles: readonly string[],
): Promise<HealthParts & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const now = () => new Date();
  const database = await attempt(async () => {
    // A visitor's short timeouts also detect a connection that has gone silent.
    const context = opened.use(await openDatabaseContext(config, { log, embedded: 'join', waiting: 'visitor' }));
    return context.orm.em as EntityManager;
  });
  // Mailer and templates need neither database nor keys.
  const templates = await attempt(() => openMailTemplates(config));
  const mailer = await attempt(async () => opened.use(await openMailer(config)));
  const { redisUrl } = config;
  const owned = opened.move();
  return {
    config,
    now,
    database,
    // Unlike a start, a check creates no keys.
    keys: () => findKeys(config),
    secretFiles,
    templates,
    mailer,
    redis: redisUrl && (() => describeRedis(redisUrl.reveal())),
    explain: (error) => describeFailure(error).message ?? `unexpected: ${(error as Error).message.split(' - ').at(-1)}`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function attempt<T>(open: () => Promise<T>): Promise<() => T> {
  try {
    const part = await open();
    return () => part;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}
