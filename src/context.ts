import { type Captchas, createCaptchas } from './captcha/index.ts';
import type { Config, KeyConfig } from './config/config.ts';
import { readKeys } from './config/values.ts';
import type { EmbeddedServer } from './database/embedded/embedded.ts';
import { EmbeddedNotRunning } from './database/embedded/errors.ts';
import { hasStoredKeys, loadKeyring } from './database/encryption-keys.ts';
import { commandPatience, type Orm, type OrmOptions, openOrm, requestPatience } from './database/orm.ts';
import type { Log } from './log.ts';
import { makeKeyFile, readKeyFile } from './privacy/key-file.ts';
import type { Keyring } from './privacy/keyring.ts';
import { KeysWrong } from './privacy/keyring-check.ts';

/**
 * What a command owns that works on the database as a whole: migrations, health. The contexts below add what
 * others need; each releases, in reverse, all that it opened.
 */
export interface DatabaseContext extends AsyncDisposable {
  readonly config: Config;
  readonly log: Log;
  readonly now: () => Date;
  /** Where the database is; a secret, since it holds the password. */
  readonly databaseUrl: string;
  readonly orm: Orm;
}

/** What a process owns that reads or writes what visitors gave. */
export interface Context extends DatabaseContext {
  readonly keyring: Keyring;
  readonly captchas: Captchas;
}

export interface Opening {
  log: Log;
  /**
   * Whether to start the embedded database (`serve`), to join the running one (every other command), or, where none runs,
   * to start the one that is there for as long as the command takes.
   */
  embedded: 'start' | 'join' | 'join-or-start';
  /** Whether a visitor waits for the answer, or an operator. */
  waiting: 'visitor' | 'operator';
  /** What the command reads, where that is little. */
  entities?: OrmOptions['entities'];
  /** Is given what ends the embedded database, in case this process has to end at once. */
  endFirst?: (end: () => Promise<void>) => void;
}

/** @throws {EmbeddedNotRunning} */
export async function openDatabaseContext(config: Config, opening: Opening): Promise<DatabaseContext> {
  await using opened = new AsyncDisposableStack();
  const databaseUrl = await findDatabase(config, opening, opened);
  const orm = opened.adopt(
    await openOrm(databaseUrl, opening.waiting === 'visitor' ? requestPatience : commandPatience, {
      entities: opening.entities,
    }),
    (it) => it.close(),
  );
  // From here the caller owns them. Had a line above thrown, what was open is closed already.
  const owned = opened.move();
  return {
    config,
    log: opening.log,
    now: () => new Date(),
    databaseUrl,
    orm,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Takes over `base`, also where it fails. @throws {KeysWrong} */
export async function openContext(base: DatabaseContext): Promise<Context> {
  await using opened = new AsyncDisposableStack();
  opened.use(base);
  const em = base.orm.em.fork();
  const keys = findKeys(base.config) ?? (await makeFirstKeys(base, em));
  const keyring = await loadKeyring(em, keys);
  const { kind, secret, verifyUrl } = base.config.captcha;
  const captchas = createCaptchas({ kind, secret: secret?.reveal(), verifyUrl }, keyring.captchaSecret);
  const owned = opened.move();
  return { ...base, keyring, captchas, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** The configured keys, or those of the key file; undefined where there is neither. */
export function findKeys(config: Config): readonly KeyConfig[] | undefined {
  const file = config.encryptionKeys === undefined ? readKeyFile(config.dataDir) : undefined;
  return config.encryptionKeys?.reveal() ?? (file === undefined ? undefined : readKeys(file));
}

/** Keys for a database that nothing has been sealed in. */
async function makeFirstKeys({ config, now }: DatabaseContext, em: Orm['em']): Promise<readonly KeyConfig[]> {
  if (await hasStoredKeys(em)) {
    throw new KeysWrong(
      `the database holds sealed values, and neither ENCRYPTION_KEYS nor ${config.dataDir}/encryption.keys has their keys`,
    );
  }
  return readKeys(makeKeyFile(config.dataDir, now()));
}

async function findDatabase(config: Config, opening: Opening, opened: AsyncDisposableStack): Promise<string> {
  const url = config.databaseUrl.reveal();
  if (url !== 'embedded') return url;
  const { hasCluster, joinEmbedded, startEmbedded } = await import('./database/embedded/embedded.ts');
  if (opening.embedded !== 'start') {
    try {
      return await joinEmbedded(config.dataDir);
    } catch (error) {
      const mayStart = opening.embedded === 'join-or-start' && error instanceof EmbeddedNotRunning;
      if (!mayStart || !(await hasCluster(config.dataDir))) throw error;
      return (await ownEmbedded(startEmbedded(config.dataDir), opening, opened)).url;
    }
  }
  const starting = startEmbedded(config.dataDir, {
    log: (line) => opening.log.info(line),
    onRestart: (line) => opening.log.error(line),
  });
  return (await ownEmbedded(starting, opening, opened)).url;
}

/** A start cannot be taken back: a process that has to end at once waits for it, then stops PostgreSQL. */
async function ownEmbedded(
  starting: Promise<EmbeddedServer>,
  { endFirst }: Opening,
  opened: AsyncDisposableStack,
): Promise<EmbeddedServer> {
  endFirst?.(async () => (await starting).stop());
  return opened.use(await starting);
}
