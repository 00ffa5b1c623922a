import { type Captchas, createCaptchas } from './captcha/index.ts';
import type { Config, KeyConfig } from './config/config.ts';
import { readKeys } from './config/values.ts';
import type { EmbeddedServer } from './database/embedded/embedded.ts';
import { EmbeddedNotRunning } from './database/embedded/errors.ts';
import { hasStoredKeys, loadKeyring } from './database/encryption-keys.ts';
import { commandPatience, type Orm, type OrmOptions, openOrm, requestPatience } from './database/orm.ts';
import type { Log } from './log.ts';
import { keyFile, makeKeyFile, readKeyFile } from './privacy/key-file.ts';
import type { Keyring } from './privacy/keyring.ts';
import { KeysWrong } from './privacy/keyring-check.ts';

/** For commands that need no keys, such as migrations. Each context closes what it opened, in reverse order. */
export interface DatabaseContext extends AsyncDisposable {
  readonly config: Config;
  readonly log: Log;
  readonly now: () => Date;
  /** Secret: it contains the password. */
  readonly databaseUrl: string;
  readonly orm: Orm;
}

/** For commands that read or write visitors' data. */
export interface Context extends DatabaseContext {
  readonly keyring: Keyring;
  readonly captchas: Captchas;
}

export interface Opening {
  log: Log;
  /**
   * Whether to start the embedded database (`serve`), to use the running one (every other command), or to start an
   * existing one for the duration of the command if none runs.
   */
  embedded: 'start' | 'join' | 'join-or-start';
  /** Who waits for the database decides its timeouts. */
  waiting: 'visitor' | 'operator';
  /** The entities that the command needs, if not all. */
  entities?: OrmOptions['entities'];
  /** Receives a function that stops the embedded database, for a process that has to end at once. */
  endFirst?: (end: () => Promise<void>) => void;
}

/** @throws {EmbeddedNotRunning} */
export async function openDatabaseContext(config: Config, opening: Opening): Promise<DatabaseContext> {
  await using opened = new AsyncDisposableStack();
  const databaseUrl = await findDatabase(config, opening, opened);
  const patience = opening.waiting === 'visitor' ? requestPatience : commandPatience;
  const orm = opened.adopt(await openOrm(databaseUrl, patience, { entities: opening.entities }), (it) => it.close());
  // Now the caller owns them. If a line above throws, everything opened so far is closed.
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

/** Takes ownership of `base`, even if it fails. @throws {KeysWrong} */
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

/** The keys from the configuration or the key file, or undefined. */
export function findKeys(config: Config): readonly KeyConfig[] | undefined {
  const file = config.encryptionKeys === undefined ? readKeyFile(config.dataDir) : undefined;
  return config.encryptionKeys?.reveal() ?? (file === undefined ? undefined : readKeys(file, keyFile(config.dataDir)));
}

/** Makes keys for a database that contains no encrypted values. @throws {KeysWrong} if it may contain some. */
async function makeFirstKeys({ config, now }: DatabaseContext, em: Orm['em']): Promise<readonly KeyConfig[]> {
  if (await hasStoredKeys(em)) {
    throw new KeysWrong(
      `the database contains encrypted values, but neither ENCRYPTION_KEYS nor ${config.dataDir}/encryption.keys has their keys: put the keys back`,
    );
  }
  return readKeys(makeKeyFile(config.dataDir, now()), keyFile(config.dataDir));
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
      if (!mayStart || !hasCluster(config.dataDir)) throw error;
      return (await ownEmbedded(startEmbedded(config.dataDir), opening, opened)).url;
    }
  }
  const starting = startEmbedded(config.dataDir, {
    log: (line) => opening.log.info(line),
    onRestart: (line) => opening.log.error(line),
  });
  return (await ownEmbedded(starting, opening, opened)).url;
}

/** A start cannot be cancelled: to end this process at once, wait for the start, then stop the server. */
async function ownEmbedded(
  starting: Promise<EmbeddedServer>,
  { endFirst }: Opening,
  opened: AsyncDisposableStack,
): Promise<EmbeddedServer> {
  endFirst?.(async () => (await starting).stop());
  return opened.use(await starting);
}
