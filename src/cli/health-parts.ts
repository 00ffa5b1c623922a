import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { EntityManager } from '@mikro-orm/postgresql';
import { type Config, readKeys } from '../config.ts';
import { openDatabaseContext, openMailingContext } from '../context.ts';
import type { Log } from '../log.ts';
import type { Mailer } from '../mail/mailer.ts';
import { readOrMakeKeyFile } from '../privacy/key-file.ts';
import type { HealthParts } from '../services/health.ts';
import { describeFailure } from './failures.ts';

/** Opens what `health` looks at, each part by itself: one that cannot be had must not hide the others. */
export async function openHealthParts(config: Config, log: Log): Promise<HealthParts & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const now = () => new Date();
  const database = await attempt(async () => {
    // With a visitor's patience, so that a connection that has gone silent is found out.
    const context = opened.use(await openDatabaseContext(config, { log, embedded: 'join', waiting: 'visitor' }));
    return context.orm.em as EntityManager;
  });
  const mailer = await attempt(async () => await openMailer(config, log, opened));
  const owned = opened.move();
  return {
    config,
    now,
    database,
    keys: () => findKeys(config, now()),
    mailer,
    explain: (error) => describeFailure(error).message ?? `unexpected: ${(error as Error).message.split(' - ').at(-1)}`,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Unlike a start, looking makes no keys. */
function findKeys(config: Config, now: Date) {
  if (config.encryptionKeys !== undefined) return config.encryptionKeys.reveal();
  if (!existsSync(join(config.dataDir, 'encryption.keys'))) return undefined;
  return readKeys(readOrMakeKeyFile(config.dataDir, now));
}

/** The mailer does without database and keys, and so may a look at it. */
async function openMailer(config: Config, log: Log, opened: AsyncDisposableStack): Promise<Mailer> {
  const context = await openMailingContext({
    config,
    log,
    now: () => new Date(),
    databaseUrl: '',
    orm: undefined as never,
    keyring: undefined as never,
    [Symbol.asyncDispose]: async () => {},
  });
  return opened.use(context).mailer;
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
